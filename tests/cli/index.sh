# Building, listing, replacing and dropping indexes.
grid 2000 >grid.csv
kith import db/t grid.csv --metric l2 -q >/dev/null
kith index db/t --list
kith index db/t --num-partitions 4 --num-sub-vectors 2 --num-bits 4 --seed 3 -q | steady
kith index db/t --list | sed -E 's/ +[0-9.]+ k?B$//; s/ +SIZE$//'
kith index db/t --type IVF_FLAT --name flat --num-partitions 2 -q | steady
kith index db/t --list --json | grep -o '"name":"[a-z_]*"'
printf 'id,vector\n-1,"[0,0,0,0]"\n' >one.csv
kith import db/t one.csv | steady
kith info db/t --json | grep -o '"rows_[a-z]*":[0-9]*' | sort | uniq -c | sed 's/^ *//'
kith search db/t --vector '[0,0,0,0]' -k 1 -q --columns id
kith index db/t --drop flat
fails kith index db/t --drop flat
fails kith index db/t --num-sub-vectors 3
fails kith index db/t --column id
fails kith index db/t --column none
fails kith index db/none
