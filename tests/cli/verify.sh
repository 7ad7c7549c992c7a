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

# A damaged index is dropped, since it can be made again; damaged rows are told.
grid 3000 >few.csv
kith import db/mended few.csv -q >/dev/null
kith index db/mended --type ivf_flat -q >/dev/null
kith repair db/mended
file=$(find db/mended.kith/index -type f)
printf '\252' | dd of="$file" bs=1 seek=5000 conv=notrunc 2>/dev/null
kith verify db/mended >/dev/null 2>&1
echo "exit $?"
kith repair db/mended | sed -E 's/^.*kix: block/FILE: block/'
kith verify db/mended | sed -E 's/[0-9]+ files/N files/'
kith search db/mended --row 3 -k 1 --columns id | head -2
rm "$(find db/mended.kith/data -type f | head -1)"
kith verify db/mended 2>err.txt
echo "exit $?"
grep -o 'No such file or directory; restore it from a copy' err.txt
kith repair db/bad 2>err.txt
echo "exit $?"
grep -o 'Rows cannot be repaired: restore the file from a copy' err.txt

# Each tells a program what it did.
kith repair db/good --json
kith repair db/bad --json 2>/dev/null | sed -E 's/"error":".*(Rows cannot be repaired).*"/"error":"\1"/'
fails kith repair db/absent --json
kith backup db/good copy --json
kith backup db/good other && kith export other/good --rows 1 --columns id
fails kith backup db/good copy --json
