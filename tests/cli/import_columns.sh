# Vectors in one file, what they stand for in another.
grid 20 >grid.csv
kith import db/g grid.csv -q >/dev/null
kith export db/g --format npy -o v.npy -q >/dev/null
kith export db/g --format csv --columns id -o ids.csv -q >/dev/null
kith import db/t v.npy --columns ids.csv | steady
kith export db/t | head -3
kith export db/t --columns id,vector | cmp - <(kith export db/g) && echo same
head -11 ids.csv >short.csv
fails kith import db/u v.npy --columns short.csv
fails kith import db/u v.npy --columns grid.csv
fails kith import db/u v.npy --columns absent.csv
kith import db/u v.npy --columns ids.csv --rows 5 | steady
