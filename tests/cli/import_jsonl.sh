# JSON lines: keys that come and go, nested values as JSON text, lists, vectors, all the escapes.
cat >rows.jsonl <<'END'
{"a": 1, "vector": [1, 2], "o": {"x": [1, {"y": 2}]}, "t": "h\u00e9 \"q\" \\ \ud83d\ude00"}

{"a": 2.5, "b": true, "vector": [0.5, 3], "l": [1, 2, 3]}
{"a": null, "vector": null, "l": [], "t": "tab\t"}
{}
{"big": 9223372036854775807, "bigger": 9223372036854775808, "mixed": 1}
{"mixed": "one", "f": 1e-7}
END
kith import db/t rows.jsonl | steady
kith info db/t | steady | sed '/^ *VERSION/,$d'
kith export db/t
kith export db/t -o again.jsonl --quiet >/dev/null
kith import db/again again.jsonl | steady
kith export db/again | cmp - again.jsonl && echo same
# which column of lists is the vectors'
printf '{"p": [1, 2]}\n{"p": [3, 4]}\n' >p.jsonl
kith import db/p p.jsonl --vector p | steady
kith search db/p --vector '[3, 4]' -k 1 -q
fails kith import db/q p.jsonl --vector q
fails kith info db/q
