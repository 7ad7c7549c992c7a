# Arrow files and streams, from a file, redirected, and through a pipe.
grid 300 >grid.csv
kith import db/g grid.csv -q >/dev/null
kith export db/g -o g.arrow | steady
kith export db/g -o g.stream --format stream | steady
kith export db/g --format stream | cmp - g.stream && echo same
kith import db/file g.arrow | steady
kith import db/stream g.stream | steady
kith import db/redirected - <g.arrow | steady
cat g.stream | kith import db/piped - | steady
cat g.stream | kith import db/streamed - --format arrow --rows 7 | steady
kith import db/joined g.arrow --vector v --columns g.stream 2>&1
for t in file stream redirected piped; do kith export db/$t | cmp - <(kith export db/g) || echo "$t differs"; done
head -c 200 g.arrow >cut.arrow
fails kith import db/cut cut.arrow | sed 's/: .*readable Arrow file.*/: .../'
