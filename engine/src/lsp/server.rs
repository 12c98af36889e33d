//! The conversation with an editor: requests in, answers and diagnostics out.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use logmon_dsl::{
    diagnostic::Code,
    program::Analysis,
    span::{FileId, Sources},
    syntax,
};
use lsp_server::{Connection, ErrorCode, Message, Notification, Request, RequestId, Response};
use lsp_types::{
    self as lsp,
    notification::{
        DidChangeTextDocument, DidChangeWatchedFiles, DidCloseTextDocument, DidOpenTextDocument,
        DidSaveTextDocument, Notification as _, PublishDiagnostics,
    },
    request::{
        CodeActionRequest, Completion, DocumentSymbolRequest, Formatting, GotoDefinition,
        HoverRequest, PrepareRenameRequest, References, Rename, Request as _, SignatureHelpRequest,
    },
};
use serde::{Serialize, de::DeserializeOwned};

use super::{answers::At, convert, workspace::Workspace};
use crate::error::WorldError;

/// Serves one editor over standard input and output until it says goodbye.
///
/// `dead_letter` names the sink that only the configuration of an entry uses.
pub fn serve(dead_letter: fn(&Path) -> String) -> Result<(), WorldError> {
    let (connection, threads) = Connection::stdio();
    let ended = converse(&connection, dead_letter);
    // The writing thread ends when nobody can send any more.
    drop(connection);
    ended?;
    threads.join().map_err(|error| WorldError::because("the editor's pipe broke", error))
}

fn converse(connection: &Connection, dead_letter: fn(&Path) -> String) -> Result<(), WorldError> {
    let broken = |error: lsp_server::ProtocolError| {
        WorldError::because("the editor does not speak the language server protocol", error)
    };
    let capabilities = serde_json::to_value(capabilities()).expect("capabilities are plain data");
    let (id, params) = connection.initialize_start().map_err(broken)?;
    let answer = serde_json::json!({
        "capabilities": capabilities,
        "serverInfo": { "name": "logmon-engine", "version": env!("CARGO_PKG_VERSION") },
    });
    connection.initialize_finish(id, answer).map_err(broken)?;
    let params: lsp::InitializeParams = serde_json::from_value(params)
        .map_err(|error| WorldError::because("the editor's first words make no sense", error))?;
    let mut server = Server {
        connection,
        workspace: Workspace::new(roots(&params)),
        published: BTreeMap::new(),
        dirty: false,
        dead_letter,
    };
    server.run().map_err(broken)
}

fn capabilities() -> lsp::ServerCapabilities {
    lsp::ServerCapabilities {
        text_document_sync: Some(lsp::TextDocumentSyncCapability::Options(
            lsp::TextDocumentSyncOptions {
                open_close: Some(true),
                change: Some(lsp::TextDocumentSyncKind::FULL),
                save: Some(lsp::TextDocumentSyncSaveOptions::Supported(true)),
                ..lsp::TextDocumentSyncOptions::default()
            },
        )),
        completion_provider: Some(lsp::CompletionOptions {
            trigger_characters: Some([".", "@", ":"].map(str::to_owned).to_vec()),
            ..lsp::CompletionOptions::default()
        }),
        signature_help_provider: Some(lsp::SignatureHelpOptions {
            trigger_characters: Some(["(", ","].map(str::to_owned).to_vec()),
            ..lsp::SignatureHelpOptions::default()
        }),
        hover_provider: Some(lsp::HoverProviderCapability::Simple(true)),
        definition_provider: Some(lsp::OneOf::Left(true)),
        references_provider: Some(lsp::OneOf::Left(true)),
        document_symbol_provider: Some(lsp::OneOf::Left(true)),
        document_formatting_provider: Some(lsp::OneOf::Left(true)),
        code_action_provider: Some(lsp::CodeActionProviderCapability::Simple(true)),
        rename_provider: Some(lsp::OneOf::Right(lsp::RenameOptions {
            prepare_provider: Some(true),
            work_done_progress_options: lsp::WorkDoneProgressOptions::default(),
        })),
        ..lsp::ServerCapabilities::default()
    }
}

fn roots(params: &lsp::InitializeParams) -> Vec<PathBuf> {
    let folders = params.workspace_folders.iter().flatten().map(|folder| &folder.uri);
    let roots: Vec<PathBuf> = folders.filter_map(convert::path).collect();
    if !roots.is_empty() {
        return roots;
    }
    #[expect(deprecated, reason = "older editors name one folder this way")]
    let root = params.root_uri.as_ref().and_then(convert::path);
    root.into_iter().collect()
}

struct Server<'c> {
    connection: &'c Connection,
    workspace: Workspace,
    /// What the editor was told last, by file: said again only where it changed.
    published: BTreeMap<PathBuf, Vec<lsp::Diagnostic>>,
    /// Whether texts changed since then.
    dirty: bool,
    dead_letter: fn(&Path) -> String,
}

/// Why a request has no answer.
struct Refused(ErrorCode, String);

type Answer = Result<serde_json::Value, Refused>;

impl Server<'_> {
    fn run(&mut self) -> Result<(), lsp_server::ProtocolError> {
        let connection = self.connection;
        loop {
            // Somebody who types fast sends many texts: only the last one is checked.
            if self.dirty && connection.receiver.is_empty() {
                self.publish();
            }
            let Ok(message) = connection.receiver.recv() else { return Ok(()) };
            match message {
                Message::Request(request) => {
                    if connection.handle_shutdown(&request)? {
                        return Ok(());
                    }
                    let id = request.id.clone();
                    let response = respond(id, self.answer(request));
                    self.send(Message::Response(response));
                }
                Message::Notification(notification) => self.notice(notification),
                Message::Response(_) => {}
            }
        }
    }

    /// A send fails only when the editor is gone; the next `recv` ends the loop then.
    fn send(&self, message: Message) {
        let _gone = self.connection.sender.send(message);
    }

    fn notice(&mut self, notification: Notification) {
        let Notification { method, params } = notification;
        match method.as_str() {
            DidOpenTextDocument::METHOD => {
                if let Some(params) = read::<lsp::DidOpenTextDocumentParams>(params) {
                    self.set(&params.text_document.uri, params.text_document.text);
                }
            }
            DidChangeTextDocument::METHOD => {
                if let Some(mut params) = read::<lsp::DidChangeTextDocumentParams>(params)
                    && let Some(change) = params.content_changes.pop()
                {
                    self.set(&params.text_document.uri, change.text);
                }
            }
            DidCloseTextDocument::METHOD => {
                if let Some(params) = read::<lsp::DidCloseTextDocumentParams>(params)
                    && let Some(path) = convert::path(&params.text_document.uri)
                {
                    self.workspace.close(&path);
                    self.dirty = true;
                }
            }
            DidSaveTextDocument::METHOD | DidChangeWatchedFiles::METHOD => {
                self.workspace.changed_on_disk();
                self.dirty = true;
            }
            _ => {}
        }
    }

    fn set(&mut self, uri: &lsp::Uri, text: String) {
        if let Some(path) = convert::path(uri) {
            self.workspace.set(path, text);
            self.dirty = true;
        }
    }

    /// Says what is wrong in all programs that open files belong to, and takes back what no longer is.
    fn publish(&mut self) {
        self.dirty = false;
        let open: Vec<PathBuf> = self.workspace.open().cloned().collect();
        let mut now: BTreeMap<PathBuf, Vec<lsp::Diagnostic>> = BTreeMap::new();
        let mut done: Vec<PathBuf> = Vec::new();
        for path in open {
            let entry = self.workspace.entry(&path);
            now.entry(path.clone()).or_default();
            if done.contains(&entry) {
                continue;
            }
            let dead_letter = (self.dead_letter)(&entry);
            let analysis = self.workspace.analysis(&path);
            for (file, source) in analysis.loaded.sources.iter() {
                let at = At { analysis, file, offset: 0 };
                let mut found = at.diagnostics();
                // A sink that only the configuration uses, as the dead letter, is not unused.
                found.retain(|one| {
                    let unused = Code::W110.to_string();
                    let is_unused = one.code == Some(lsp::NumberOrString::String(unused));
                    let start = convert::offset(&source.text, one.range.start);
                    let end = convert::offset(&source.text, one.range.end);
                    !is_unused || source.text.get(start..end) != Some(dead_letter.as_str())
                });
                now.entry(PathBuf::from(&source.path)).or_default().extend(found);
            }
            done.push(entry);
        }
        for path in self.published.keys() {
            now.entry(path.clone()).or_default();
        }
        for (path, diagnostics) in &now {
            let known = self.published.get(path);
            if known == Some(diagnostics) {
                continue;
            }
            let Some(uri) = convert::uri(path) else { continue };
            let params = lsp::PublishDiagnosticsParams {
                uri,
                diagnostics: diagnostics.clone(),
                version: None,
            };
            let notification = Notification::new(PublishDiagnostics::METHOD.to_owned(), params);
            self.send(Message::Notification(notification));
        }
        self.published = now;
        // What the editor knows to be fine and has closed need not be kept.
        let workspace = &self.workspace;
        self.published.retain(|path, found| !found.is_empty() || workspace.text(path).is_some());
    }

    fn answer(&mut self, request: Request) -> Answer {
        let Request { method, params, .. } = request;
        match method.as_str() {
            Completion::METHOD => {
                let params: lsp::CompletionParams = parsed(params)?;
                self.at(&params.text_document_position, |at| json(&at.completion()))
            }
            HoverRequest::METHOD => {
                let params: lsp::HoverParams = parsed(params)?;
                self.at(&params.text_document_position_params, |at| json(&at.hover()))
            }
            SignatureHelpRequest::METHOD => {
                let params: lsp::SignatureHelpParams = parsed(params)?;
                self.at(&params.text_document_position_params, |at| json(&at.signature()))
            }
            GotoDefinition::METHOD => {
                let params: lsp::GotoDefinitionParams = parsed(params)?;
                self.at(&params.text_document_position_params, |at| json(&at.definition()))
            }
            References::METHOD => {
                let params: lsp::ReferenceParams = parsed(params)?;
                self.at(&params.text_document_position, |at| json(&at.references()))
            }
            PrepareRenameRequest::METHOD => {
                let params: lsp::TextDocumentPositionParams = parsed(params)?;
                self.at(&params, |at| json(&at.prepare_rename().map_err(refused)?))
            }
            Rename::METHOD => {
                let params: lsp::RenameParams = parsed(params)?;
                self.at(&params.text_document_position, |at| {
                    json(&at.rename(&params.new_name).map_err(refused)?)
                })
            }
            DocumentSymbolRequest::METHOD => {
                let params: lsp::DocumentSymbolParams = parsed(params)?;
                self.file(&params.text_document.uri, |at| json(&at.symbols()))
            }
            CodeActionRequest::METHOD => {
                let params: lsp::CodeActionParams = parsed(params)?;
                self.file(&params.text_document.uri, |at| json(&at.fixes(params.range)))
            }
            Formatting::METHOD => {
                let params: lsp::DocumentFormattingParams = parsed(params)?;
                json(&self.format(&params.text_document.uri))
            }
            _ => Err(Refused(ErrorCode::MethodNotFound, format!("`{method}` is not supported"))),
        }
    }

    /// Asks about a place.
    fn at(
        &mut self,
        place: &lsp::TextDocumentPositionParams,
        ask: impl FnOnce(At<'_>) -> Answer,
    ) -> Answer {
        self.file(&place.text_document.uri, |at| {
            let text = at.analysis.loaded.sources.get(at.file).map_or("", |source| &source.text);
            ask(At { offset: convert::offset(text, place.position), ..at })
        })
    }

    /// Asks about a file; where it is none of a program there is nothing to say.
    fn file(&mut self, uri: &lsp::Uri, ask: impl FnOnce(At<'_>) -> Answer) -> Answer {
        let Some(path) = convert::path(uri) else { return Ok(serde_json::Value::Null) };
        let analysis = self.workspace.analysis(&path);
        match file_of(analysis, &path) {
            Some(file) => ask(At { analysis, file, offset: 0 }),
            None => Ok(serde_json::Value::Null),
        }
    }

    /// The whole file in the one style; nothing where it cannot be read or has it already.
    fn format(&self, uri: &lsp::Uri) -> Option<Vec<lsp::TextEdit>> {
        let path = convert::path(uri)?;
        let text = self.workspace.text(&path)?;
        let mut sources = Sources::default();
        let file = sources.add(path.to_string_lossy(), text);
        let styled = syntax::format(file, text).ok()?;
        if styled == text {
            return Some(Vec::new());
        }
        let range = convert::range(text, 0, text.len() as u32);
        Some(vec![lsp::TextEdit { range, new_text: styled }])
    }
}

fn file_of(analysis: &Analysis, path: &Path) -> Option<FileId> {
    let mut units = analysis.loaded.units.iter();
    units.find(|unit| unit.path == path).map(|unit| unit.ast.id)
}

fn respond(id: RequestId, answer: Answer) -> Response {
    match answer {
        Ok(value) => Response::new_ok(id, value),
        Err(Refused(code, message)) => Response::new_err(id, code as i32, message),
    }
}

fn refused(message: String) -> Refused {
    Refused(ErrorCode::RequestFailed, message)
}

fn json(value: &impl Serialize) -> Answer {
    Ok(serde_json::to_value(value).expect("answers are plain data"))
}

fn parsed<T: DeserializeOwned>(params: serde_json::Value) -> Result<T, Refused> {
    serde_json::from_value(params)
        .map_err(|error| Refused(ErrorCode::InvalidParams, error.to_string()))
}

/// A notification that makes no sense is no reason to stop.
fn read<T: DeserializeOwned>(params: serde_json::Value) -> Option<T> {
    serde_json::from_value(params).ok()
}
