# Every format; a failed export leaves what was there.
printf '{"id":1,"vector":[1,2],"t":"a,b"}\n{"id":2,"vector":null,"t":null}\n{"id":3,"vector":[5,6],"t":""}\n' >a.jsonl
kith import db/t a.jsonl -q >/dev/null
kith export db/t
kith export db/t --format csv
kith export db/t --columns t,id --format csv --rows 2
kith export db/t -o out.csv | steady
kith export db/t -o out.jsonl --json | sed -E 's/"seconds":[^}]*/"seconds":0/'
echo before >out.npy
fails kith export db/t -o out.npy
cat out.npy
fails kith export db/t --columns none
fails kith export db/t -o none/out.csv
fails kith export db/t --format parquet
fails kith export db/t --json
kith export db/t --rows 1 -o out.npy | steady
od -An -c out.npy | tail -1
ls
kith export db/t >/dev/full 2>err.txt
echo "exit $?"
cat err.txt
# a link leads where it led; what is no file is written to, not replaced
ln -s out.jsonl link
kith export db/t --rows 1 -o link -q >/dev/null
[ -L link ] && cat out.jsonl
mkfifo pipe
cat pipe &
kith export db/t --rows 2 --columns id -o pipe -f csv -q >/dev/null
wait
[ -p pipe ] && echo 'still a pipe'
mkdir folder
fails kith export db/t -o folder
# at most no rows are none
kith export db/t --rows 0
kith export db/t --rows 0 --format csv
kith import db/none a.jsonl --rows 0 | steady
kith import db/none a.jsonl --rows 2 | steady
kith log db/none -n 0 --json
