# How good an index is: against the exact scan, for rows of the table and for queries of one's own.
grid 2000 >grid.csv
kith import db/t grid.csv --metric l2 -q >/dev/null
# without an index every answer is exact
kith bench db/t --recall 0.9 --sample 20 -k 5 -q | sed -E 's/ +[0-9,]+( +[0-9.]+ +[0-9,]+)? *$/ SPEED/'
kith index db/t --seed 1 -q | steady
kith export db/t --format npy -n 300 -o q.npy -q >/dev/null
kith bench db/t --queries q.npy --sample 100 --recall 0,0.9,1 -q --json >one.json
grep -o '"[a-z_]*":' one.json | sort | uniq -c | sed 's/^ *//'
grep -o '"index":"[^"]*"\|"k":[0-9]*\|"queries":[0-9]*\|"source":"[a-z]*"' one.json
grep -o '"recall":1,"measured":[0-9.]*,"standard_error":[0-9.]*,"expected":[0-9.]*' one.json
# it finds what it promises, in less time than a scan takes
kith bench db/t --recall 0.95 --json --plot recall.svg |
    awk -F'[,:]' '{ for (i = 1; i < NF; i++) if ($i == "\"measured\"") print ($(i + 1) >= 0.9 ? "good" : "bad") }'
head -c 4 recall.svg; echo
tail -1 recall.svg
fails kith bench db/t --recall 0.9,high
fails kith bench db/t --recall 1.5
fails kith bench db/t --recall ,
fails kith bench db/t -k 0
fails kith bench db/t --sample 0
fails kith bench db/t --queries absent.npy
fails kith bench db/t --column id
fails kith bench db/t --sample 10 --recall 1 --plot none/x.svg -q --json | grep -v exact_queries
fails kith bench db/none
echo '[[1, 2, 3]]' >short.json
fails kith bench db/t --queries short.json
