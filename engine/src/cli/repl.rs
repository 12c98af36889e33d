//! `repl`: expressions, statements and rules over an event, line by line, with history and completion.

mod session;

use std::{cell::RefCell, path::PathBuf, rc::Rc};

use rustyline::{
    CompletionType, Config, Context, Editor, Helper,
    completion::{self, Completer},
    error::ReadlineError,
    highlight::Highlighter,
    hint::Hinter,
    history::FileHistory,
    validate,
};

use super::{given::Options, say};
use crate::error::Exit;
use session::Session;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A rules file whose names, types and rules are at hand; without it events may hold anything
    rules: Option<PathBuf>,
    /// Events to look at: one JSON object a line
    #[arg(long, value_name = "FILE")]
    on: Option<PathBuf>,
    /// Where the history of lines is kept; without it they are forgotten at the end
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    #[command(flatten)]
    given: Options,
}

/// What the line editor asks while somebody types.
struct Typing(Rc<RefCell<Session>>);

impl Helper for Typing {}
impl Highlighter for Typing {}

impl Hinter for Typing {
    type Hint = String;
}

impl Completer for Typing {
    type Candidate = completion::Pair;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<completion::Pair>)> {
        let (start, found) = self.0.borrow().complete(line, at);
        let pair = |(display, replacement)| completion::Pair { display, replacement };
        Ok((start, found.into_iter().map(pair).collect()))
    }
}

impl validate::Validator for Typing {
    /// A line with open brackets goes on.
    fn validate(
        &self,
        context: &mut validate::ValidationContext<'_>,
    ) -> rustyline::Result<validate::ValidationResult> {
        Ok(if session::is_open(context.input()) {
            validate::ValidationResult::Incomplete
        } else {
            validate::ValidationResult::Valid(None)
        })
    }
}

pub(super) fn repl(arguments: &Arguments) -> Exit {
    let session = match Session::new(arguments) {
        Ok(session) => Rc::new(RefCell::new(session)),
        Err((exit, message)) => {
            if !message.is_empty() {
                eprintln!("{message}");
            }
            return exit;
        }
    };
    match converse(arguments, &session) {
        Ok(()) => Exit::Fine,
        Err(error) => {
            eprintln!("{error}");
            Exit::World
        }
    }
}

fn converse(arguments: &Arguments, session: &Rc<RefCell<Session>>) -> rustyline::Result<()> {
    let config = Config::builder().completion_type(CompletionType::List).build();
    let mut editor: Editor<Typing, FileHistory> = Editor::with_config(config)?;
    editor.set_helper(Some(Typing(Rc::clone(session))));
    if let Some(path) = arguments.history.as_ref().filter(|path| path.exists()) {
        editor.load_history(path)?;
    }
    loop {
        match editor.readline("> ") {
            Ok(line) => {
                // Also of lines that no terminal wrote.
                editor.add_history_entry(line.as_str())?;
                let answer = session.borrow_mut().line(&line);
                match answer {
                    Some(text) if !text.is_empty() => say(text.trim_end()),
                    Some(_) => {}
                    None => break,
                }
            }
            // Ctrl-C gives up the line, as in a shell.
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error),
        }
    }
    if let Some(path) = &arguments.history {
        editor.save_history(path)?;
    }
    Ok(())
}
