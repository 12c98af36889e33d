#!/usr/bin/env bash
# Generates the parser and reads every shipped program and every program of the manual with it: an ERROR anywhere fails.
# Needs `tree-sitter` (`cargo install tree-sitter-cli --locked --no-default-features`, or npm's).
set -euo pipefail
cd "$(dirname "$0")"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r grammar.js tree-sitter.json queries "$work"
root=$PWD/../..
find "$root/rules" -name '*.rules' | sort >"$work/programs"
# The blocks of the manual that hold right programs, each in a file of its own.
for page in "$root"/docs/*.md; do
  awk -v stem="$work/$(basename "$page")" '
    /^```rules$/ { file = sprintf("%s.%03d.rules", stem, ++n); next }
    /^```/ { file = "" }
    file { print > file }
  ' "$page"
done
find "$work" -name '*.rules' | sort >>"$work/programs"

cd "$work"
tree-sitter generate
failed=0
while read -r program; do
  if ! tree-sitter parse --quiet "$program" 2>/dev/null; then
    failed=$((failed + 1))
  fi
  tree-sitter query --quiet queries/highlights.scm "$program" >/dev/null 2>"$work/said" || { cat "$work/said"; exit 1; }
done <"$work/programs"
echo "$(wc -l <"$work/programs") programs, $failed with errors"
[ "$failed" -eq 0 ]
