# What is known of a database and of a table; reading never makes a folder.
fails kith info absent
fails kith info absent/t
ls
mkdir void
kith info void
kith info void --json | sed 's/"database":"[^"]*"/"database":"..."/'
printf 'id,vector\n1,"[1,2]"\n' >a.csv
kith import db/t a.csv -q >/dev/null
for i in 1 2 3 4 5 6; do kith import db/t a.csv -q >/dev/null; done
kith info db | sed -E 's/ [0-9.]+ k?B / SIZE /'
kith info db/t.kith/ | sed -E 's/[0-9.]+ k?B of rows/SIZE of rows/; s/[0-9]{4}-[0-9-]+ [0-9:]+/TIME/' | steady
kith info db/t --versions | grep -c append
kith info db/t --json | sed -E 's/"(time_us|created_us|[a-z]+_bytes|fragments|files)":[0-9]+/"\1":0/g' | steady
fails kith info db/none
