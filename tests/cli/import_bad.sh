# Malformed files: what is wrong, and where.
bad() { cat >"$1"; fails kith import db/t "$1"; }
printf 'a,b\n1\n' | bad cells.csv
printf 'a,b\n1,"x\n' | bad open.csv
printf 'a,b\n1,"x"y\n' | bad after.csv
printf 'a,b\n1,\xe9t\n' | bad latin.csv
printf 'a,a\n' | bad twice.csv
printf 'a,\n' | bad noname.csv
printf '' | bad empty.csv
printf '\n\n' | bad blank.csv
printf '{"a":1}\n[1]\n' | bad array.jsonl
printf '{"a":1}\n{"a":\n' | bad cut.jsonl
printf '[{"a":1}]\n' | bad whole.json
printf '{"a":1,"a":2}\n' | bad twice.jsonl
printf '{"a":[1,2,}\n' | bad list.jsonl
printf '{"a":"\xff"}\n' | bad latin.jsonl
printf '{"a":1} x\n' | bad after.jsonl
printf '\n\n' | bad blank.jsonl
printf '\223NUMPY\001\0\377\377' | bad header.npy
header() { printf '\223NUMPY\001\0\166\0%-117s\n' "{'descr': '$1', 'fortran_order': $2, 'shape': ($3), }"; }
header '<i8' False '1, 2' | bad int.npy
header '<f4' True '1, 2' | bad fortran.npy
header '<f4' False '1, 2, 3' | bad cube.npy
header '<f4' False '1, 0' | bad thin.npy
header '<f4' False '2, 2' | bad short.npy
header '<f4' False '99999999999999999999, 2' | bad huge.npy
header '<f4' False '4611686018427387904, 4' | bad wrap.npy
printf 'not numpy at all' | bad text.npy
printf '\002\0\0\0\0\0\200\077' | bad cut.fvecs
printf '\377\377\377\377\0\0\0\0' | bad negative.bvecs
printf '\001\0\0\0\001\002\0\0\0\001' | bad uneven.bvecs
printf '\001\0\0\0\001\0\0\001' | bad inexact.ivecs
printf '\001\0\0\0\0\0\0\0' | bad thin.fbin
printf '\377\377\377\377\377\377\377\377' | bad huge.u8bin
printf 'PAR1....' | bad rows.parquet
printf '\037\213....' | bad rows.csv.gz
printf '\001\002\003' | bad what.bin
mkdir folder.csv
fails kith import db/t folder.csv
fails kith import db/t absent.csv
fails kith info db
