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
# one cell that is no list does not turn the vectors into text
printf 'id,vector\n1,"[1,2]"\n2,"[3,4"\n3,"[5,6]"\n' >cut.csv
printf '{"id":1,"vector":null}\n{"id":2,"vector":"none"}\n{"id":3,"vector":[5,6]}\n' >word.jsonl
fails kith import db/mixed cut.csv
fails kith import db/mixed word.jsonl
fails kith info db/mixed
# but it may be a column of something else
printf 'id,vector_of,v\n1,"[1]","[1,2]"\n2,all,"[3,4]"\n' >other.csv
kith import db/other other.csv --vector v | steady
kith export db/other
