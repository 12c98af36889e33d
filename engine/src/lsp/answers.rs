//! Answers of the language, in the protocol's words.

use logmon_dsl::{
    assist::{Assist, Completion, CompletionKind, Symbol, SymbolKind},
    diagnostic::{Diagnostic, Severity},
    program::Analysis,
    span::{FileId, Span},
};
use lsp_types as lsp;

use super::convert;

/// A file of a program and a place in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) analysis: &'a Analysis,
    pub(super) file: FileId,
    pub(super) offset: usize,
}

impl<'a> At<'a> {
    fn text(&self, file: FileId) -> &'a str {
        self.analysis.loaded.sources.get(file).map_or("", |source| &source.text)
    }

    fn assist(&self) -> Assist<'a> {
        Assist::new(self.analysis)
    }

    fn range(&self, at: Span) -> lsp::Range {
        convert::range(self.text(at.file), at.start, at.end)
    }

    fn location(&self, at: Span) -> Option<lsp::Location> {
        let path = &self.analysis.loaded.sources.get(at.file)?.path;
        let uri = convert::uri(std::path::Path::new(path))?;
        Some(lsp::Location { uri, range: self.range(at) })
    }

    pub(super) fn completion(&self) -> lsp::CompletionList {
        let (replaced, found) = self.assist().complete(self.file, self.offset);
        let range = self.range(replaced);
        let items = found
            .into_iter()
            .enumerate()
            .map(|(place, one)| completion_item(one, place, range))
            .collect();
        lsp::CompletionList { is_incomplete: false, items }
    }

    pub(super) fn hover(&self) -> Option<lsp::Hover> {
        let hover = self.assist().hover(self.file, self.offset)?;
        let value = lsp::MarkupContent { kind: lsp::MarkupKind::Markdown, value: hover.text };
        Some(lsp::Hover {
            contents: lsp::HoverContents::Markup(value),
            range: Some(self.range(hover.at)),
        })
    }

    pub(super) fn signature(&self) -> Option<lsp::SignatureHelp> {
        let found = self.assist().signature(self.file, self.offset)?;
        let active = Some(found.active as u32);
        let parameters = found.params.into_iter().map(|param| lsp::ParameterInformation {
            label: lsp::ParameterLabel::Simple(param),
            documentation: None,
        });
        let signature = lsp::SignatureInformation {
            label: found.text,
            documentation: (!found.doc.is_empty()).then_some(lsp::Documentation::String(found.doc)),
            parameters: Some(parameters.collect()),
            active_parameter: active,
        };
        Some(lsp::SignatureHelp {
            signatures: vec![signature],
            active_signature: Some(0),
            active_parameter: active,
        })
    }

    pub(super) fn definition(&self) -> Option<lsp::GotoDefinitionResponse> {
        let at = self.assist().definition(self.file, self.offset)?;
        Some(lsp::GotoDefinitionResponse::Scalar(self.location(at)?))
    }

    pub(super) fn references(&self) -> Vec<lsp::Location> {
        let all = self.assist().mentions(self.file, self.offset);
        all.into_iter().filter_map(|at| self.location(at)).collect()
    }

    pub(super) fn prepare_rename(&self) -> Result<lsp::PrepareRenameResponse, String> {
        let at = self.assist().renamable(self.file, self.offset)?;
        Ok(lsp::PrepareRenameResponse::Range(self.range(at)))
    }

    #[expect(
        clippy::mutable_key_type,
        reason = "the protocol's own type for edits; the keys never change"
    )]
    pub(super) fn rename(&self, name: &str) -> Result<lsp::WorkspaceEdit, String> {
        let mut changes = std::collections::HashMap::new();
        for at in self.assist().rename(self.file, self.offset, name)? {
            if let Some(place) = self.location(at) {
                let edit = lsp::TextEdit { range: place.range, new_text: name.to_owned() };
                changes.entry(place.uri).or_insert_with(Vec::new).push(edit);
            }
        }
        Ok(lsp::WorkspaceEdit { changes: Some(changes), ..lsp::WorkspaceEdit::default() })
    }

    pub(super) fn symbols(&self) -> lsp::DocumentSymbolResponse {
        let symbols = self.assist().symbols(self.file);
        lsp::DocumentSymbolResponse::Nested(symbols.iter().map(|one| self.symbol(one)).collect())
    }

    #[expect(deprecated, reason = "a field of the protocol that has no other way to be left out")]
    fn symbol(&self, symbol: &Symbol) -> lsp::DocumentSymbol {
        let kind = match symbol.kind {
            SymbolKind::Const => lsp::SymbolKind::CONSTANT,
            SymbolKind::Enum => lsp::SymbolKind::ENUM,
            SymbolKind::Type => lsp::SymbolKind::STRUCT,
            SymbolKind::Source | SymbolKind::Sink => lsp::SymbolKind::INTERFACE,
            SymbolKind::Lookup | SymbolKind::Fn => lsp::SymbolKind::FUNCTION,
            SymbolKind::Rule => lsp::SymbolKind::METHOD,
            SymbolKind::Group => lsp::SymbolKind::NAMESPACE,
            SymbolKind::Window | SymbolKind::Alert => lsp::SymbolKind::EVENT,
            SymbolKind::Test => lsp::SymbolKind::BOOLEAN,
        };
        lsp::DocumentSymbol {
            name: if symbol.name.is_empty() { "test".to_owned() } else { symbol.name.clone() },
            detail: None,
            kind,
            tags: None,
            deprecated: None,
            range: self.range(symbol.at),
            selection_range: self.range(symbol.name_at),
            children: Some(symbol.inside.iter().map(|one| self.symbol(one)).collect()),
        }
    }

    /// Diagnostics of this file.
    pub(super) fn diagnostics(&self) -> Vec<lsp::Diagnostic> {
        let all = self.analysis.diagnostics.iter();
        all.filter(|one| one.at.file == self.file).map(|one| self.diagnostic(one)).collect()
    }

    fn diagnostic(&self, one: &Diagnostic) -> lsp::Diagnostic {
        let mut message = one.message.clone();
        if !one.label.is_empty() {
            message.push_str(": ");
            message.push_str(&one.label);
        }
        for note in &one.notes {
            message.push_str("\nnote: ");
            message.push_str(note);
        }
        if let Some(help) = &one.help {
            message.push_str("\nhelp: ");
            message.push_str(&help.message);
        }
        let related = one.related.iter().filter_map(|(at, label)| {
            let location = self.location(*at)?;
            Some(lsp::DiagnosticRelatedInformation { location, message: label.clone() })
        });
        lsp::Diagnostic {
            range: self.range(one.at),
            severity: Some(match one.severity {
                Severity::Error => lsp::DiagnosticSeverity::ERROR,
                Severity::Warning => lsp::DiagnosticSeverity::WARNING,
            }),
            code: Some(lsp::NumberOrString::String(one.code.to_string())),
            source: Some("logmon".to_owned()),
            message,
            related_information: Some(related.collect()),
            ..lsp::Diagnostic::default()
        }
    }

    /// What the diagnostics that touch a range propose.
    #[expect(
        clippy::mutable_key_type,
        reason = "the protocol's own type for edits; the keys never change"
    )]
    pub(super) fn fixes(&self, range: lsp::Range) -> Vec<lsp::CodeActionOrCommand> {
        let mut found = Vec::new();
        for one in self.analysis.diagnostics.iter().filter(|one| one.at.file == self.file) {
            let there = self.range(one.at);
            let touches = there.start <= range.end && range.start <= there.end;
            let Some(help) = one.help.as_ref().filter(|help| touches && !help.edits.is_empty())
            else {
                continue;
            };
            let mut changes = std::collections::HashMap::new();
            for (at, text) in &help.edits {
                if let Some(place) = self.location(*at) {
                    let edit = lsp::TextEdit { range: place.range, new_text: text.clone() };
                    changes.entry(place.uri).or_insert_with(Vec::new).push(edit);
                }
            }
            found.push(lsp::CodeActionOrCommand::CodeAction(lsp::CodeAction {
                title: format!("{}: {}", one.code, help.message),
                kind: Some(lsp::CodeActionKind::QUICKFIX),
                diagnostics: Some(vec![self.diagnostic(one)]),
                edit: Some(lsp::WorkspaceEdit {
                    changes: Some(changes),
                    ..lsp::WorkspaceEdit::default()
                }),
                is_preferred: Some(help.sure),
                ..lsp::CodeAction::default()
            }));
        }
        found
    }
}

fn completion_item(one: Completion, place: usize, range: lsp::Range) -> lsp::CompletionItem {
    let kind = match one.kind {
        CompletionKind::Field => lsp::CompletionItemKind::FIELD,
        CompletionKind::Local => lsp::CompletionItemKind::VARIABLE,
        CompletionKind::Const => lsp::CompletionItemKind::CONSTANT,
        CompletionKind::Function | CompletionKind::Lookup => lsp::CompletionItemKind::FUNCTION,
        CompletionKind::Source | CompletionKind::Sink => lsp::CompletionItemKind::INTERFACE,
        CompletionKind::Rule => lsp::CompletionItemKind::METHOD,
        CompletionKind::Type => lsp::CompletionItemKind::STRUCT,
        CompletionKind::Member => lsp::CompletionItemKind::ENUM_MEMBER,
        CompletionKind::Word => lsp::CompletionItemKind::KEYWORD,
    };
    let doc = (!one.doc.is_empty()).then_some(lsp::Documentation::String(one.doc));
    lsp::CompletionItem {
        label: one.label,
        kind: Some(kind),
        detail: (!one.detail.is_empty()).then_some(one.detail),
        documentation: doc,
        // Editors sort by this text: our order is the better one.
        sort_text: Some(format!("{place:04}")),
        insert_text_format: Some(lsp::InsertTextFormat::SNIPPET),
        text_edit: Some(lsp::CompletionTextEdit::Edit(lsp::TextEdit {
            range,
            new_text: one.insert,
        })),
        ..lsp::CompletionItem::default()
    }
}
