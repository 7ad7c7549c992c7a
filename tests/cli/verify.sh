# A flipped bit is found, named, and exits with 4; the other table is still good.
grid 20000 >grid.csv
kith import db/bad grid.csv -q >/dev/null
kith import db/good grid.csv -q >/dev/null
kith verify db >ok.txt && sed -E 's/[0-9]+ files/N files/' ok.txt
kith verify db/good --json | sed -E 's/"files":[0-9]+/"files":0/'
file=$(find db/bad.kith -type f -size +100k | sort | head -1)
size=$(stat -c %s "$file")
printf '\252' | dd of="$file" bs=1 seek=$((size / 2)) conv=notrunc 2>/dev/null
kith verify db 2>err.txt | sed -E 's/[0-9]+ files/N files/'
kith verify db >/dev/null 2>&1
echo "exit $?"
grep -q "$(basename "$file")" err.txt && echo 'the message names the file'
fails kith verify absent
fails kith verify db/absent
