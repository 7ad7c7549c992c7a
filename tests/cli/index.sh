# Building, listing, replacing and dropping indexes.
grid 2000 >grid.csv
kith import db/t grid.csv --metric l2 -q >/dev/null
kith index db/t --list
kith index db/t --num-partitions 4 --seed 3 -q | steady
kith index db/t --list --json | grep -o '"type":"IVF_RQ"\|"num_bits":[0-9]*\|"calibration":{"on":"[a-z]*"'
# calibrated on vectors like those that will be asked, which may be of another type
kith export db/t --format npy -n 300 -o q.npy -q >/dev/null
kith index db/t --num-partitions 4 --queries q.npy --max-memory 64MB --seed 3 -q | steady
kith index db/t --list --json | grep -o '"calibration":{"on":"[a-z]*", *"queries":[0-9]*' | tr -d ' '
# codes a vector: that is IVF_PQ
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
fails kith index db/t --type IVF_RQ --num-sub-vectors 2
fails kith index db/t --num-bits 10
echo '[[1, 2, 3]]' >short.json
fails kith index db/t --queries short.json
fails kith index db/t --queries absent.npy
fails kith index db/t --max-memory 1kB
fails kith index db/t --max-memory much
fails kith index db/t --column id --type IVF_RQ
fails kith index db/t --column none
fails kith index db/none
# over values, which filters use
kith index db/t --column id -q | steady
kith index db/t --column id --type BITMAP --name few -q | steady
kith index db/t --list | sed -E 's/ +[0-9.]+ k?B$//; s/ +SIZE$//'
kith index db/t --list --json | grep -o '"type":"BTREE","metric":null'
fails kith index db/t --column vector --type BTREE
fails kith index db/t --type BTREE
fails kith index db/t --column id --metric l2
