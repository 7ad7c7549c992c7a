# Searching by JSON, by file, by standard input and by row.
grid 100 >grid.csv
kith import db/t grid.csv -q >/dev/null
kith search db/t --vector '[3, 4, 0, 0]' -k 3 -q
kith search db/t --vector '[[3, 4, 0, 0], [9, 9, 0, 0]]' -k 1 -q --columns id
echo '[3, 4, 0, 0]' | kith search db/t --vector - -k 1 -q --columns id
echo '{"vector": [3, 4, 0, 0]}' | kith search db/t --vector - -k 1 -q --columns id
kith export db/t --format npy -n 2 -o q.npy -q >/dev/null
kith search db/t --vector q.npy -k 1 -q --columns id
# more like row 0: not row 0 itself
kith search db/t --row 0 -k 2 -q
kith search db/t --vector '[0, 0, 0, 1]' -k 2 -q --metric cosine --columns id,_distance
kith search db/t --vector '[3, 4, 0, 0]' -k 2 -q --json --columns id | sed -E 's/"seconds":[^}]*/"seconds":0/'
# time that is given, and time that is over
kith search db/t --vector '[3, 4, 0, 0]' -k 1 -q --columns id --timeout 60
fails kith search db/t --vector '[3, 4, 0, 0]' --timeout 0 -q
fails kith search db/t --vector '[1, 2]'
fails kith search db/t --vector '[1, "a"]'
fails kith search db/t --vector '[]'
fails kith search db/t --vector '[[1,2,3,4],[1,2]]'
fails kith search db/t --vector '[1, 2'
fails kith search db/t --vector absent.npy
fails kith search db/t --row 1000
fails kith search db/t --row 1 --columns nothing
fails kith search db/t --row 1 --column id
fails kith search db/absent --row 1
fails kith search absent/t --row 1
ls
