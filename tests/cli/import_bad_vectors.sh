# NaN, Inf and vectors of another length: refused, dropped, mended or nulled, as asked.
printf '{"id":1,"vector":[1,2]}\n{"id":2,"vector":[1,null]}\n{"id":3,"vector":[5,6]}\n' >nan.jsonl
printf '{"id":1,"vector":[1,2]}\n{"id":2,"vector":[1]}\n{"id":3,"vector":[5,6]}\n' >length.jsonl
for file in nan length; do
    fails kith import db/$file $file.jsonl | sed 's/ (on_bad_vectors.*//'
    fails kith info db/$file
    for what in drop fill null; do
        kith import db/${file}_$what $file.jsonl --on-bad-vectors $what --fill-value 9 | steady
        kith export db/${file}_$what
    done
done
# another dimension than the table's
printf '{"id":4,"vector":[1,2,3]}\n' >three.jsonl
fails kith import db/nan_drop three.jsonl | sed 's/ (on_bad_vectors.*//'
kith export db/nan_drop
