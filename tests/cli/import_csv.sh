# CSV: the narrowest type that holds a column, quotes, nulls, CRLF and a byte-order mark.
printf '\xef\xbb\xbfid,title,year,score,ok,embedding,zip,empty\r\n' >films.csv
printf '1,"Alien, ""Director'"'"'s Cut""\r\nuncut",1979,8.5,true,"[1, 2.5, 3]",01234,\r\n' >>films.csv
printf '2,,,nan,FALSE,"[0.1,0,-1e3]",99999,\r\n\r\n3,"",2001,3,,,00001,' >>films.csv
kith import db/film films.csv | steady
kith info db/film | steady | sed '/^ *VERSION/,$d'
kith export db/film
kith export db/film --format csv >again.csv
kith import db/again again.csv --quiet | steady
kith export db/again | cmp - <(kith export db/film) && echo same
# a table's own types win over what a later file looks like
printf 'id,title,score,zip\n4,1984,7,5\n' | kith import db/film - --format csv | steady
kith export db/film --columns id,title,score,zip | tail -1
printf 'a\tb\n1\t"x\ty"\n' >t.tsv
kith import db/t t.tsv | steady
kith export db/t
