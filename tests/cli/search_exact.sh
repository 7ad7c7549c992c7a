# --exact tells how good the index is: with every list visited and every candidate re-ranked, recall is 1.
grid 1000 >grid.csv
kith import db/t grid.csv -q >/dev/null
kith search db/t --row 55 -k 3 -q --exact --columns id
kith index db/t --type IVF_FLAT --num-partitions 8 --seed 1 -q | steady
kith search db/t --row 55 -k 3 -q --exact --nprobes 8 --columns id
kith export db/t --format npy -n 50 -o q.npy -q >/dev/null
kith search db/t --vector q.npy -k 5 -q --exact --nprobes 8 | tail -1
# one list of eight must miss some
kith search db/t --vector q.npy -k 50 -q --exact --nprobes 1 --json | grep -o '"recall":[0-9.]*' | tail -1 |
    awk -F: '{ print ($2 < 1 ? "less than all" : "all") }'
kith search db/t --row 55 -q --explain -k 1 --columns id | head -1
