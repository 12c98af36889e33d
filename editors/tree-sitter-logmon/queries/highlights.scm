; Colors for .rules files.

(comment) @comment
(return) @keyword.control

[
  "use" "include" "default" "const" "enum" "type" "source" "lookup" "sink" "fn" "rule" "group" "window" "alert" "test"
] @keyword

[ "if" "else" "match" "for" "first" "all" "when" "where" "fire" "resolve" "after" ] @keyword.control

[
  "let" "drop" "route" "emit" "each" "sample" "limit" "burst" "max_keys" "dedup" "within" "del" "keep" "rename" "tag" "count"
  "value" "to" "by" "as" "on" "with" "over" "every" "late" "severity" "summary" "runbook" "notify" "labels" "ordered" "coerce"
  "sensitive" "at" "advance" "mock" "given" "expect" "dropped" "routed" "fired" "silent"
] @keyword

[ "and" "or" "not" "in" "is" "contains" "starts_with" "ends_with" "matches" "like" "has" ] @keyword.operator
(negated) @keyword.operator
[ "absent" "missing" "present" ] @constant.builtin

[ "list" "map" "table" ] @type.builtin
(named_type (name (identifier) @type))
(type_declaration name: (identifier) @type)
(enum name: (identifier) @type)

(rule name: (identifier) @function)
(group name: (identifier) @module)
(window name: (identifier) @function)
(alert name: (identifier) @function)
(function name: (identifier) @function)
(call function: (name (identifier) @function.call))
(source name: (identifier) @module)
(sink name: (identifier) @module)
(lookup name: (identifier) @function)
(target sink: (name (identifier) @module))
(const name: (identifier) @constant)
(parameter name: (identifier) @variable.parameter)
(argument name: (identifier) @variable.parameter)
(let name: (identifier) @variable)
(aggregate name: (identifier) @variable)
(test name: (string) @string.special)
(attribute "@" @attribute name: (identifier) @attribute)
(metadata "@" @variable.builtin (identifier) @variable.builtin)
(field_name) @property

[ (string) (raw_string) (format_text) ] @string
(format_string [ "f\"" "\"" ] @string)
(escape) @string.escape
(hole [ "{" "}" ] @punctuation.special)
(regex) @string.regexp
(tagged) @string.special
[ (number) (percent) (fraction) (times) ] @number
[ (duration) (byte_size) (time_unit) ] @number
[ (boolean) (null) ] @constant.builtin

[ "=" "|=" "??=" "==" "!=" "<" "<=" ">" ">=" "??" "+" "-" "*" "/" "%" "->" "=>" "..=" ".." "..." "?" ] @operator
[ "(" ")" "[" "]" "{" "}" ] @punctuation.bracket
[ "," ":" ] @punctuation.delimiter
"_" @constant.builtin
