//! The PEG of `.rules` files, and how each of its rules is spelled to a person.
//!
//! Invariant: the only crate that names pest. What leaves it is pairs, positions and spellings.

use pest::{
    Parser,
    error::{ErrorVariant, InputLocation},
};

pub use parser::Rule;

/// The generated parser, in a room of its own because its items have no comments.
mod parser {
    #![expect(missing_docs, reason = "generated; the grammar itself is the documentation")]

    /// Reads text by the rules of `rules.pest`.
    #[derive(Debug, pest_derive::Parser)]
    #[grammar = "rules.pest"]
    pub(super) struct RulesParser;
}

/// A grammar rule that matched, with what lies inside it.
pub type Pair<'t> = pest::iterators::Pair<'t, Rule>;

/// Several of them, in order.
pub type Pairs<'t> = pest::iterators::Pairs<'t, Rule>;

/// Where the text stopped following the grammar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The byte at which nothing fitted.
    pub at: usize,
    /// The rules that were tried there.
    pub expected: Vec<Rule>,
    /// Whether the text was too deeply nested to be read at all.
    pub too_deep: bool,
}

/// Reads a text from its first to its last character; start at `Rule::items` or
/// `Rule::expression`.
pub fn parse(rule: Rule, text: &str) -> Result<Pairs<'_>, Mismatch> {
    parser::RulesParser::parse(rule, text).map_err(|error| {
        let at = match error.location {
            InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
        };
        match error.variant {
            ErrorVariant::ParsingError { positives, .. } => {
                Mismatch { at, expected: positives, too_deep: false }
            }
            // The stack guard speaks this way, and nobody else.
            ErrorVariant::CustomError { .. } => {
                Mismatch { at, expected: Vec::new(), too_deep: true }
            }
        }
    })
}

impl Rule {
    /// Returns what a person would call this, for "expected `and` or `{`"; nothing for rules that
    /// do not help in a message.
    pub fn symbol(self) -> Option<&'static str> {
        match self {
            Self::EOI => Some("the end of the text"),
            Self::items
            | Self::use_decl
            | Self::include_decl
            | Self::default_decl
            | Self::const_decl
            | Self::enum_decl
            | Self::type_decl
            | Self::source_decl
            | Self::lookup_decl
            | Self::sink_decl
            | Self::fn_decl
            | Self::rule_decl
            | Self::group_decl
            | Self::window_decl
            | Self::alert_decl
            | Self::test_decl => Some("a declaration"),
            Self::result | Self::arrow => Some("`->`"),
            Self::params | Self::param => Some("a parameter"),
            Self::ty | Self::table_ty | Self::list_ty | Self::map_ty | Self::record_ty => {
                Some("a type")
            }
            Self::open_mark => Some("`...`"),
            Self::field_ty | Self::record_field => Some("a field"),
            Self::on_part | Self::k_on => Some("`on`"),
            Self::when_part | Self::k_when => Some("`when`"),
            Self::group_mode | Self::k_first => Some("`first`"),
            Self::block | Self::record_pat | Self::expect_body | Self::lbrace => Some("`{`"),
            Self::let_stmt
            | Self::assign_stmt
            | Self::if_stmt
            | Self::drop_stmt
            | Self::return_stmt
            | Self::route_stmt
            | Self::emit_stmt
            | Self::sample_stmt
            | Self::limit_stmt
            | Self::dedup_stmt
            | Self::del_stmt
            | Self::keep_stmt
            | Self::rename_stmt
            | Self::tag_stmt
            | Self::count_stmt => Some("a statement"),
            Self::assign_op | Self::equals => Some("`=`"),
            Self::else_block | Self::k_else => Some("`else`"),
            Self::target => Some("the name of a sink"),
            Self::ratio | Self::percent | Self::fraction => Some("a share such as `5%` or `1/20`"),
            Self::burst | Self::k_burst => Some("`burst`"),
            Self::max_keys | Self::k_max_keys => Some("`max_keys`"),
            Self::by_part | Self::by_name | Self::k_by => Some("`by`"),
            Self::renaming | Self::path_glob | Self::path => Some("a path such as `.a.b`"),
            Self::value_part | Self::k_value => Some("`value`"),
            Self::over_clause | Self::let_clause | Self::fire_clause | Self::meta_clause => {
                Some("a clause")
            }
            Self::every_part | Self::k_every => Some("`every`"),
            Self::late_part | Self::k_late => Some("`late`"),
            Self::for_part | Self::k_for => Some("`for`"),
            Self::resolve_part | Self::k_resolve => Some("`resolve`"),
            Self::at_step
            | Self::advance_step
            | Self::mock_step
            | Self::given_step
            | Self::expect_step => Some("a step"),
            Self::mock_entry => Some("an entry such as `key => value`"),
            Self::to_name | Self::k_to => Some("`to`"),
            Self::expression
            | Self::expr
            | Self::and_expr
            | Self::not_expr
            | Self::compare
            | Self::coalesce
            | Self::sum
            | Self::product
            | Self::unary
            | Self::postfix
            | Self::index_expr
            | Self::primary
            | Self::f_hole => Some("an expression"),
            Self::or_op | Self::k_or => Some("`or`"),
            Self::and_op | Self::k_and => Some("`and`"),
            Self::is_tail | Self::k_is => Some("`is`"),
            Self::presence => Some("`absent`, `missing`, `null`, `present` or a type"),
            Self::filter | Self::k_where => Some("`where`"),
            Self::arg_list | Self::arg => Some("an argument"),
            Self::pipe => Some("`|`"),
            Self::arm => Some("an arm such as `\"a\" => 1`"),
            Self::any_pattern => Some("`_`"),
            Self::pattern => Some("a pattern"),
            Self::pattern_literal | Self::literal => Some("a literal"),
            Self::range_op => Some("`..=`"),
            Self::position | Self::int => Some("a whole number"),
            Self::each => Some("`*`"),
            Self::key | Self::qname | Self::ident | Self::ident_raw => Some("a name"),
            Self::number | Self::digits | Self::amount => Some("a number"),
            Self::time | Self::duration => Some("a duration such as `5m`"),
            Self::time_unit => Some("`s`, `m`, `h` or `d`"),
            Self::string => Some("text in quotes"),
            Self::rbrace => Some("`}`"),
            Self::lparen => Some("`(`"),
            Self::rparen => Some("`)`"),
            Self::lbracket => Some("`[`"),
            Self::rbracket => Some("`]`"),
            Self::comma => Some("`,`"),
            Self::colon => Some("`:`"),
            Self::fat_arrow => Some("`=>`"),
            Self::k_absent => Some("`absent`"),
            Self::k_advance => Some("`advance`"),
            Self::k_after => Some("`after`"),
            Self::k_alert => Some("`alert`"),
            Self::k_all => Some("`all`"),
            Self::k_as => Some("`as`"),
            Self::k_at => Some("`at`"),
            Self::k_coerce => Some("`coerce`"),
            Self::k_const => Some("`const`"),
            Self::k_contains => Some("`contains`"),
            Self::k_count => Some("`count`"),
            Self::k_dedup => Some("`dedup`"),
            Self::k_default => Some("`default`"),
            Self::k_del => Some("`del`"),
            Self::k_drop => Some("`drop`"),
            Self::k_dropped => Some("`dropped`"),
            Self::k_each => Some("`each`"),
            Self::k_emit => Some("`emit`"),
            Self::k_ends_with => Some("`ends_with`"),
            Self::k_enum => Some("`enum`"),
            Self::k_expect => Some("`expect`"),
            Self::k_fire => Some("`fire`"),
            Self::k_fired => Some("`fired`"),
            Self::k_fn => Some("`fn`"),
            Self::k_given => Some("`given`"),
            Self::k_group => Some("`group`"),
            Self::k_has => Some("`has`"),
            Self::k_if => Some("`if`"),
            Self::k_in => Some("`in`"),
            Self::k_include => Some("`include`"),
            Self::k_keep => Some("`keep`"),
            Self::k_labels => Some("`labels`"),
            Self::k_let => Some("`let`"),
            Self::k_like => Some("`like`"),
            Self::k_limit => Some("`limit`"),
            Self::k_list => Some("`list`"),
            Self::k_lookup => Some("`lookup`"),
            Self::k_map => Some("`map`"),
            Self::k_match => Some("`match`"),
            Self::k_matches => Some("`matches`"),
            Self::k_missing => Some("`missing`"),
            Self::k_mock => Some("`mock`"),
            Self::k_not => Some("`not`"),
            Self::k_notify => Some("`notify`"),
            Self::k_null => Some("`null`"),
            Self::k_ordered => Some("`ordered`"),
            Self::k_over => Some("`over`"),
            Self::k_present => Some("`present`"),
            Self::k_rename => Some("`rename`"),
            Self::k_return => Some("`return`"),
            Self::k_route => Some("`route`"),
            Self::k_routed => Some("`routed`"),
            Self::k_rule => Some("`rule`"),
            Self::k_runbook => Some("`runbook`"),
            Self::k_sample => Some("`sample`"),
            Self::k_sensitive => Some("`sensitive`"),
            Self::k_severity => Some("`severity`"),
            Self::k_silent => Some("`silent`"),
            Self::k_sink => Some("`sink`"),
            Self::k_source => Some("`source`"),
            Self::k_starts_with => Some("`starts_with`"),
            Self::k_summary => Some("`summary`"),
            Self::k_table => Some("`table`"),
            Self::k_tag => Some("`tag`"),
            Self::k_test => Some("`test`"),
            Self::k_type => Some("`type`"),
            Self::k_use => Some("`use`"),
            Self::k_window => Some("`window`"),
            Self::k_with => Some("`with`"),
            Self::k_within => Some("`within`"),
            Self::masked
            | Self::attrs
            | Self::attr
            | Self::attr_name
            | Self::optional
            | Self::below
            | Self::meta_kind
            | Self::times
            | Self::fate_expect
            | Self::fate
            | Self::tail
            | Self::compare_op
            | Self::word_op
            | Self::coalesce_op
            | Self::add_op
            | Self::mul_op
            | Self::neg
            | Self::member
            | Self::at_index
            | Self::parens
            | Self::call
            | Self::call_head
            | Self::arg_name
            | Self::lambda
            | Self::if_expr
            | Self::match_expr
            | Self::list
            | Self::record
            | Self::index
            | Self::meta
            | Self::reserved
            | Self::boolean
            | Self::null
            | Self::bytesize
            | Self::string_ci
            | Self::str_body
            | Self::fstring
            | Self::f_text
            | Self::rawstr
            | Self::tagged
            | Self::regex_lit
            | Self::re_flags
            | Self::plain_tag
            | Self::raw_quoted
            | Self::raw_block
            | Self::raw_line
            | Self::slip_eq
            | Self::slip_match
            | Self::slip_and
            | Self::slip_or
            | Self::slip_not
            | Self::slip_quoted
            | Self::quoted_body
            | Self::slip_duration
            | Self::long_unit
            | Self::short_unit
            | Self::WHITESPACE
            | Self::COMMENT
            | Self::word
            | Self::item
            | Self::stmt
            | Self::clause
            | Self::test_step
            | Self::ws => None,
        }
    }

    /// Whether this is punctuation or a keyword: it shapes the text and has no place in a tree.
    pub fn is_mark(self) -> bool {
        self.keyword().is_some()
            || matches!(
                self,
                Self::lbrace
                    | Self::rbrace
                    | Self::lparen
                    | Self::rparen
                    | Self::lbracket
                    | Self::rbracket
                    | Self::comma
                    | Self::colon
                    | Self::equals
                    | Self::arrow
                    | Self::fat_arrow
                    | Self::pipe
                    | Self::EOI
            )
    }

    /// Returns the word of a keyword's rule.
    pub fn keyword(self) -> Option<&'static str> {
        let name = self.symbol()?.strip_prefix('`')?.strip_suffix('`')?;
        let is_word = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        (is_word && KEYWORDS.contains(&self)).then_some(name)
    }
}

/// The rules of all keywords.
pub const KEYWORDS: &[Rule] = &[
    Rule::k_absent,
    Rule::k_advance,
    Rule::k_after,
    Rule::k_alert,
    Rule::k_all,
    Rule::k_and,
    Rule::k_as,
    Rule::k_at,
    Rule::k_burst,
    Rule::k_by,
    Rule::k_coerce,
    Rule::k_const,
    Rule::k_contains,
    Rule::k_count,
    Rule::k_dedup,
    Rule::k_default,
    Rule::k_del,
    Rule::k_drop,
    Rule::k_dropped,
    Rule::k_each,
    Rule::k_else,
    Rule::k_emit,
    Rule::k_ends_with,
    Rule::k_enum,
    Rule::k_every,
    Rule::k_expect,
    Rule::k_fire,
    Rule::k_fired,
    Rule::k_first,
    Rule::k_fn,
    Rule::k_for,
    Rule::k_given,
    Rule::k_group,
    Rule::k_has,
    Rule::k_if,
    Rule::k_in,
    Rule::k_include,
    Rule::k_is,
    Rule::k_keep,
    Rule::k_labels,
    Rule::k_late,
    Rule::k_let,
    Rule::k_like,
    Rule::k_limit,
    Rule::k_list,
    Rule::k_lookup,
    Rule::k_map,
    Rule::k_match,
    Rule::k_matches,
    Rule::k_max_keys,
    Rule::k_missing,
    Rule::k_mock,
    Rule::k_not,
    Rule::k_notify,
    Rule::k_null,
    Rule::k_on,
    Rule::k_or,
    Rule::k_ordered,
    Rule::k_over,
    Rule::k_present,
    Rule::k_rename,
    Rule::k_resolve,
    Rule::k_return,
    Rule::k_route,
    Rule::k_routed,
    Rule::k_rule,
    Rule::k_runbook,
    Rule::k_sample,
    Rule::k_sensitive,
    Rule::k_severity,
    Rule::k_silent,
    Rule::k_sink,
    Rule::k_source,
    Rule::k_starts_with,
    Rule::k_summary,
    Rule::k_table,
    Rule::k_tag,
    Rule::k_test,
    Rule::k_to,
    Rule::k_type,
    Rule::k_use,
    Rule::k_value,
    Rule::k_when,
    Rule::k_where,
    Rule::k_window,
    Rule::k_with,
    Rule::k_within,
];
