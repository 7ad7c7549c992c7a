# How a search is answered, before and after it ran.
grid 2000 >grid.csv
kith import db/t grid.csv --metric l2 -q >/dev/null
kith explain db/t
kith index db/t --num-partitions 8 --seed 1 -q >/dev/null
kith explain db/t --recall 0.9 | sed -E 's/[0-9.]+ expected from about [0-9]+ lists, [0-9]+ codes/SO MUCH/; s/on [0-9]+ rows/on SOME rows/'
kith explain db/t --row 5 --nprobes 3 -k 4 --refine 2 | grep -o 'the 4 nearest\|nprobes 3\|Refine: 8 rows'
kith explain db/t --vector '[1, 2, 0, 0]' --metric cosine | sed -n 2p
kith explain db/t --recall 1 | sed -n 2p
kith explain db/t --exact --json
kith explain db/t --analyze --recall 0.9 | grep -o '^  [a-z /]*[a-z]'
kith explain db/t --analyze --exact --json | grep -o 'rows read *[0-9]*'
kith search db/t --row 5 --recall 1 -k 2 --columns id -q
kith search db/t --row 5 --recall 0 -k 1 --columns id -q --explain | grep -c 'IVF_RQ'
kith index db/t --type HNSW -q >/dev/null
kith explain db/t --row 5 --ef 77 | grep -o 'ef 77'
kith explain db/t --row 5 --ef 77 --analyze | grep 'lists visited' | grep -Ec ' (7[7-9]|[89][0-9]|1[0-9][0-9])$'
kith search db/t --row 5 --ef 50 -k 1 --columns id -q
fails kith explain db/t --ef x
fails kith explain db/t --recall 2
fails kith explain db/t --recall half
fails kith explain db/t --vector '[1]' --row 2
fails kith explain db/t --vector '[1]'
fails kith explain db/t --row x
fails kith explain db/none
