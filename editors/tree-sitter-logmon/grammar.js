// The grammar of .rules files for editors: colors, folding, outlines, also while text is half written.
//
// grammar/src/rules.pest is the one that decides. A test holds every word of the language to be in both, and
// `npm test` reads every shipped program with this one.

/// <reference types="tree-sitter-cli/dsl" />

const PREC = { or: 1, and: 2, not: 3, compare: 4, coalesce: 5, sum: 6, product: 7, unary: 8, postfix: 9 };

const commaSep1 = (rule) => seq(rule, repeat(seq(',', rule)));
const list1 = (rule) => seq(commaSep1(rule), optional(','));

module.exports = grammar({
  name: 'logmon',

  extras: ($) => [/[\s\uFEFF]/, $.comment],
  word: ($) => $.identifier,
  supertypes: ($) => [$._declaration, $._statement, $._expression, $._type],

  rules: {
    source_file: ($) => repeat($._declaration),
    comment: () => token(seq('#', /[^\n]*/)),

    // ---------- declarations ----------
    _declaration: ($) =>
      choice(
        $.use, $.include, $.default_route, $.const, $.enum, $.type_declaration, $.source, $.lookup, $.sink,
        $.function, $.rule, $.group, $.window, $.alert, $.test,
      ),

    attribute: ($) =>
      prec.right(seq(
        '@', field('name', alias($._immediate_identifier, $.identifier)),
        optional(seq('(', choice($.percent, $._arguments), ')')),
      )),

    use: ($) => seq('use', field('path', $.string), optional(seq('as', field('alias', $.identifier)))),
    include: ($) => seq('include', field('path', $.string)),
    default_route: ($) => seq('default', 'route', 'to', commaSep1($.target)),
    const: ($) => seq('const', field('name', $.identifier), optional(seq(':', $._type)), '=', field('value', $._expression)),
    enum: ($) => seq('enum', field('name', $.identifier), optional('ordered'), '{', list1($.identifier), '}'),
    type_declaration: ($) => seq('type', field('name', $.identifier), '=', $._type),
    source: ($) => seq(repeat($.attribute), 'source', field('name', $.identifier), optional(seq(':', $._type))),
    lookup: ($) =>
      seq(repeat($.attribute), 'lookup', field('name', $.identifier), '(', list1($._type), ')', '->', field('result', $._type)),
    sink: ($) =>
      seq(
        repeat($.attribute), 'sink', field('name', $.identifier), ':', $._type,
        optional(seq('with', '(', list1($.parameter), ')')),
      ),
    function: ($) =>
      seq(
        'fn', field('name', $.identifier), '(', optional(list1($.parameter)), ')',
        optional(seq('->', field('result', $._type))), '=', field('body', $._expression),
      ),
    parameter: ($) => seq(field('name', $.identifier), ':', $._type),

    rule: ($) =>
      seq(repeat($.attribute), 'rule', field('name', $.identifier), optional($.on), optional($.when), field('body', $.block)),
    on: ($) => seq('on', $.name),
    when: ($) => seq('when', $._expression),
    group: ($) =>
      seq(
        repeat($.attribute), 'group', field('name', $.identifier), optional(choice('first', 'all')), optional($.when),
        '{', repeat($.rule), '}',
      ),

    // ---------- types ----------
    _type: ($) => choice($.named_type, $.list_type, $.map_type, $.table_type, $.record_type),
    named_type: ($) => prec.right(seq($.name, optional('?'))),
    list_type: ($) => prec.right(seq('list', '<', $._type, '>', optional('?'))),
    map_type: ($) => prec.right(seq('map', '<', $._type, '>', optional('?'))),
    table_type: ($) => prec.right(seq('table', '(', $.string, ')', optional('?'))),
    record_type: ($) =>
      prec.right(seq(
        '{', optional(choice('...', seq(commaSep1($.field_type), optional(seq(',', '...'))))), optional(','), '}', optional('?'),
      )),
    field_type: ($) => seq(field('name', $._key), ':', $._type, repeat(choice('coerce', 'sensitive'))),

    // ---------- statements ----------
    block: ($) => seq('{', repeat($._statement), '}'),
    _statement: ($) =>
      choice(
        $.let, $.assignment, $.if_statement, $.drop, $.return, $.route, $.emit, $.sample, $.limit, $.dedup, $.del, $.keep,
        $.rename, $.tag, $.count,
      ),
    else: ($) => seq('else', $.block),
    let: ($) =>
      prec.right(seq('let', choice(field('name', $.identifier), $.record_pattern), '=', field('value', $._expression), optional($.else))),
    record_pattern: ($) => seq('{', list1($.identifier), '}'),
    assignment: ($) =>
      prec.right(seq(
        field('target', $.path), field('operator', choice('=', '|=', '??=')), field('value', $._expression), optional($.else),
      )),
    if_statement: ($) =>
      prec.right(seq('if', field('condition', $._expression), $.block, optional(seq('else', choice($.if_statement, $.block))))),
    drop: ($) => prec.right(seq('drop', optional(seq('as', $.string)))),
    return: () => 'return',
    route: ($) => prec.right(seq('route', 'to', commaSep1($.target))),
    target: ($) => prec.right(seq(field('sink', $.name), optional(seq('(', optional($._arguments), ')')))),
    emit: ($) => prec.right(seq('emit', 'each', $._expression, optional(seq('as', $.path)))),
    sample: ($) => prec.right(seq('sample', choice($.percent, $.fraction), optional($.by), optional($.else))),
    percent: () => token(/[0-9][0-9_]*(\.[0-9]+)? *%/),
    fraction: ($) => seq($.number, '/', $.number),
    limit: ($) =>
      prec.right(seq(
        'limit', $.number, '/', alias(choice('s', 'm', 'h', 'd'), $.time_unit), optional(seq('burst', $.number)), optional($.by),
        optional(seq('max_keys', $.number)), optional($.else),
      )),
    dedup: ($) => prec.right(seq('dedup', $.by, 'within', $.duration, optional($.else))),
    by: ($) => prec.right(seq('by', commaSep1($._expression))),
    del: ($) => prec.right(seq('del', commaSep1($.path_glob))),
    keep: ($) => prec.right(seq('keep', commaSep1($.path_glob))),
    path_glob: ($) => prec.right(seq($.path, optional(token.immediate('.*')))),
    rename: ($) => prec.right(seq('rename', commaSep1(seq($.path, '->', $.path)))),
    tag: ($) => prec.right(seq('tag', commaSep1($.string))),
    count: ($) => prec.right(seq('count', field('metric', $.identifier), optional($.by), optional(seq('value', $._expression)))),

    // ---------- windows and alerts ----------
    window: ($) => seq(repeat($.attribute), 'window', field('name', $.identifier), optional($.on), optional($.when), $._clauses),
    alert: ($) => seq(repeat($.attribute), 'alert', field('name', $.identifier), optional($.on), optional($.when), $._clauses),
    _clauses: ($) => seq('{', repeat(choice($.over, $.by, $.aggregate, $.fire, $.message, $.route)), '}'),
    over: ($) => seq('over', $.duration, optional(seq('every', $.duration)), optional(seq('late', $.duration))),
    aggregate: ($) => seq('let', field('name', $.identifier), '=', $._expression),
    fire: ($) =>
      seq('fire', 'when', $._expression, optional(seq('for', $.duration)), optional(seq('resolve', 'after', $.duration))),
    message: ($) => seq(choice('severity', 'summary', 'runbook', 'notify', 'labels'), commaSep1($._expression)),

    // ---------- tests ----------
    test: ($) => seq('test', field('name', $.string), '{', repeat(choice($.at, $.advance, $.mock, $.given, $.expect)), '}'),
    at: ($) => seq('at', $._expression),
    advance: ($) => seq('advance', $.duration),
    mock: ($) => seq('mock', $.name, '{', repeat($.mock_entry), '}'),
    mock_entry: ($) => seq($._expression, '=>', $._expression, optional(',')),
    given: ($) => seq('given', optional($.times), optional($.on), $._expression),
    times: () => token(prec(1, /x[0-9]+/)),
    expect: ($) =>
      prec.right(seq(
        'expect',
        choice(
          seq(
            choice('dropped', 'routed', 'fired', 'silent'), optional(choice(seq('by', $.name), seq('to', $.name))),
            optional(seq('{', repeat($._expression), '}')),
          ),
          $._expression,
        ),
      )),

    // ---------- expressions ----------
    _expression: ($) =>
      choice(
        $.or, $.and, $.not, $.comparison, $.presence, $.coalesce, $.arithmetic, $.negation, $.member, $.index, $.call,
        $.lambda, $.if_expression, $.match, $.list, $.record, $.parenthesized, $.path, $.metadata, $.name, $._literal,
      ),
    or: ($) => prec.left(PREC.or, seq($._expression, 'or', $._expression)),
    and: ($) => prec.left(PREC.and, seq($._expression, 'and', $._expression)),
    not: ($) => prec(PREC.not, seq('not', $._expression)),
    comparison: ($) =>
      prec.left(PREC.compare, seq(
        $._expression,
        field('operator', choice(
          '==', '!=', '<', '<=', '>', '>=',
          'in', 'contains', 'starts_with', 'ends_with', 'matches', 'like', 'has', $.negated,
        )),
        $._expression,
      )),
    // One token: in a list of expectations another `not` may start the next line.
    negated: () => token(prec(1, /not[ \t\r\n]+(in|contains|starts_with|ends_with|matches|like|has)/)),
    presence: ($) =>
      prec.left(PREC.compare, seq($._expression, 'is', optional('not'), choice('absent', 'missing', 'null', 'present', $.name))),
    coalesce: ($) => prec.left(PREC.coalesce, seq($._expression, '??', $._expression)),
    arithmetic: ($) =>
      choice(
        prec.left(PREC.sum, seq($._expression, choice('+', '-'), $._expression)),
        prec.left(PREC.product, seq($._expression, choice('*', '/', '%'), $._expression)),
      ),
    negation: ($) => prec(PREC.unary, seq('-', $._expression)),
    _base: ($) => choice($.call, $.name, $.parenthesized, $.member, $.index),
    member: ($) => prec(PREC.postfix, seq($._base, token.immediate('.'), $._immediate_key)),
    index: ($) => prec(PREC.postfix, seq($._base, token.immediate('['), $._expression, ']')),
    parenthesized: ($) => seq('(', $._expression, ')'),
    call: ($) =>
      prec(PREC.postfix, seq(
        field('function', $.name), token.immediate('('), optional($._arguments), optional(seq('where', $._expression)), ')',
      )),
    _arguments: ($) => list1($.argument),
    argument: ($) => seq(optional(seq(field('name', $.identifier), ':')), $._expression),
    lambda: ($) => prec.right(seq('|', commaSep1($.identifier), '|', $._expression)),
    if_expression: ($) =>
      seq('if', $._expression, '{', $._expression, '}', 'else', choice($.if_expression, seq('{', $._expression, '}'))),
    match: ($) => seq('match', $._expression, '{', repeat1($.arm), '}'),
    arm: ($) => seq(choice('_', seq($._pattern, repeat(seq('|', $._pattern)))), '=>', $._expression, optional(',')),
    _pattern: ($) => choice($.range, $._pattern_literal, $.name),
    range: ($) => seq($._pattern_literal, choice('..=', '..'), choice($._pattern_literal, $.name)),
    _pattern_literal: ($) => seq(optional('-'), $._literal),
    list: ($) => seq('[', optional(list1($._expression)), ']'),
    record: ($) => seq('{', optional(list1(choice($.record_field, $.spread))), '}'),
    record_field: ($) => seq(field('name', $._key), ':', $._expression),
    spread: ($) => seq('...', $._expression),

    // ---------- names and paths ----------
    path: ($) =>
      prec.right(seq('.', optional(seq(
        $._immediate_key, repeat(choice(seq(token.immediate('.'), $._immediate_key), $.subscript)),
      )))),
    subscript: ($) => seq(token.immediate('['), choice('*', $._expression), ']'),
    metadata: ($) =>
      prec.right(seq(
        '@', alias($._immediate_identifier, $.identifier),
        repeat(choice(seq(token.immediate('.'), $._immediate_key), $.subscript)),
      )),
    name: ($) => prec.right(seq($.identifier, optional(seq(token.immediate('::'), alias($._immediate_identifier, $.identifier))))),
    _key: ($) => choice(alias($.identifier, $.field_name), $.string),
    _immediate_key: ($) => choice(alias($._immediate_identifier, $.field_name), alias($._immediate_string, $.string)),
    identifier: () => /[A-Za-z_][A-Za-z0-9_]*/,
    _immediate_identifier: () => token.immediate(/[A-Za-z_][A-Za-z0-9_]*/),
    _immediate_string: () => token.immediate(/"(\\.|[^"\\\n])*"/),

    // ---------- literals ----------
    _literal: ($) =>
      choice($.regex, $.tagged, $.raw_string, $.format_string, $.string, $.byte_size, $.duration, $.number, $.boolean, $.null),
    boolean: () => choice('true', 'false'),
    null: () => 'null',
    number: () => token(/[0-9][0-9_]*(\.[0-9]+)?([eE][+-]?[0-9]+)?/),
    duration: () => token(/([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h|d|w))+/),
    byte_size: () => token(/[0-9]+(\.[0-9]+)?(KiB|MiB|GiB|KB|MB|GB|B)/),
    string: () => token(/"(\\.|[^"\\\n])*"i?/),
    regex: () => token(seq('re', choice(/"""([^"]|"[^"]|""[^"])*"""/, /"[^"\n]*"/), /[ismx]*/)),
    tagged: () =>
      token(seq(choice('pat', 'grok', 'glob', 'ip', 'cidr', 't'), choice(/"""([^"]|"[^"]|""[^"])*"""/, /"[^"\n]*"/))),
    raw_string: () => token(seq('r', choice(/"""([^"]|"[^"]|""[^"])*"""/, /"[^"\n]*"/))),
    format_string: ($) =>
      seq('f"', repeat(choice($.format_text, $.escape, $.hole)), token.immediate('"')),
    format_text: () => token.immediate(prec(1, /([^"\\{\n]|\{\{)+/)),
    escape: () => token.immediate(seq('\\', choice(/u\{[0-9A-Fa-f]+\}/, /[^\n]/))),
    hole: ($) => seq(token.immediate('{'), $._expression, '}'),
  },
});
