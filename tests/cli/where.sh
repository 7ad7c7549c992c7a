# Searching, explaining and exporting the rows that meet a predicate.
grid 100 >grid.csv
kith import db/t grid.csv -q >/dev/null
kith search db/t --vector '[3, 4, 0, 0]' -k 3 -q --columns id --where 'id >= 50 AND id < 60'
# fewer rows than wanted: all there are
kith search db/t --vector '[3, 4, 0, 0]' -k 3 -q --columns id --where 'id IN (?, ?)' --param 7 --param 9
kith search db/t --vector '[3, 4, 0, 0]' -k 2 -q --columns id -w 'id % :by = 0' -p :by=10 --json | sed -E 's/"seconds":[^}]*/"seconds":0/'
kith export db/t --columns id --where 'id > 97' -q
# a value is a value, whatever it looks like
kith export db/t --columns id --where "cast(id as text) = ?" --param "1' OR '1'='1" -q
kith export db/t --columns id --where "cast(id as text) = ?" --param '"17"' -q
kith explain db/t --where 'id < 10' | sed -E 's/in [0-9.]+ ms/in some ms/'
fails kith search db/t --row 1 --where 'ib < 3'
fails kith search db/t --row 1 --where 'id < '
fails kith search db/t --row 1 --where 'id < ?'
fails kith search db/t --row 1 --where 'id < 3; drop table t'
fails kith search db/t --row 1 --where 'id' --param 3
# a value that nothing asks for
fails kith search db/t --row 1 --param 3
fails kith explain db/t --param 3
fails kith export db/t --param 3
fails kith erase db/t --deleted --param 3
