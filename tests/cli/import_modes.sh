# Creating, appending, overwriting, and where a database may come to be.
printf 'id\n1\n2\n' >a.csv
printf 'id\n3\n' >b.csv
printf 'name\nx\n' >c.csv
fails kith import db/t a.csv --append
ls
kith import db/t a.csv | steady
kith import db/t b.csv | steady
kith import db/t b.csv --append | steady
fails kith import db/t c.csv
kith export db/t
kith import db/t c.csv --overwrite | steady
kith export db/t
kith info db/t --json | grep -o '"operation":"[a-z]*"'
fails kith import db/t c.csv --key name
fails kith import db/t c.csv --metric cosine
fails kith import new/t absent.csv
ls
cd db && kith import ./u ../a.csv | steady
kith import u.kith/ ../a.csv 2>/dev/null || kith import ./u.kith/ ../b.csv | steady
fails kith import './bad name' ../a.csv
