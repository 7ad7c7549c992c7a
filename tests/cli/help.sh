# Help lists every command; a usage error says what was expected, and where help is.
kith help
kith help | sed -n 's/^  \([a-z]*\)  .*/\1/p' >commands.txt
while read -r command; do
    grep -q "^.Cm $command$" "$KITH_SOURCE/docs/man/kith.1" || echo "kith.1 does not name $command in its synopsis"
    kith help $command >help.txt || echo "no help for $command"
    kith $command --help | cmp - help.txt
    [ $command = version ] || [ $command = help ] || awk -v c=$command '/^\.S[sh] / { on = $3 == c } on' "$KITH_SOURCE/docs/man/kith.1" >section.txt
    grep -o '^  .\{4\}--[a-z0-9-]*' help.txt | sed 's/.*--//' | grep -vx 'json\|quiet\|help' | while read -r option; do
        grep -q "Fl Fl $option\b\|Fl -$option\b" section.txt || echo "kith.1 lacks --$option of $command"
    done
done <commands.txt
for type in IVF_RQ IVF_SQ IVF_PQ IVF_FLAT HNSW BTREE BITMAP LABEL_LIST; do
    grep -q "^\.Cm.* $type\b" "$KITH_SOURCE/docs/man/kith.1" || echo "kith.1 lacks $type"
done
kith help export
kith version | sed -E 's/ [0-9.]+ \(.*\)/ VERSION (ISA)/'
fails kith
fails kith frobnicate
fails kith info
fails kith info a b
fails kith search db/t --vector '[1]' --bogus
fails kith search db/t --vector
fails kith search db/t --vector '[1]' -k ten
fails kith search db/t --vector '[1]' --metric manhattan
fails kith search db/t
fails kith search t --row 1
fails kith search db/t --row -1
fails kith import db/t
fails kith import db/t x.csv --append --overwrite
fails kith index db/t --type FTS
