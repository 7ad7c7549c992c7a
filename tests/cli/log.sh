# What was done to a table: versions, rows in and out, upkeep between them.
grid 40 >grid.csv
timeless() { sed -E 's/[0-9]{4}-[0-9-]+ [0-9:]+/DATE       TIME    /; s/  [0-9a-f]{8}( |$)/  ID/; s/ +$//'; }
kith import db/t grid.csv -q >/dev/null
kith import db/t grid.csv -q --append >/dev/null
kith index db/t --column id -q >/dev/null 2>&1
kith import db/t grid.csv -q --overwrite >/dev/null
kith log db/t | timeless
kith log db/t -n 2 | timeless
kith log db/t -n 1 --json | sed -E 's/"time_us":[0-9]+/"time_us":0/; s/"transaction":"[0-9a-f]{32}"/"transaction":"ID"/'
fails kith log db/absent
fails kith log db
