# Help lists every command; a usage error says what was expected, and where help is.
kith help
for command in import index search explain bench info log export verify erase; do
    kith help $command >help.txt || echo "no help for $command"
    kith $command --help | cmp - help.txt
    grep -o '^  .\{4\}--[a-z0-9-]*' help.txt | sed 's/.*--//' | while read -r option; do
        grep -q "^.It .*Fl Fl $option\b\|^.It Fl $option " "$KITH_SOURCE/docs/man/kith.1" || echo "kith.1 lacks --$option of $command"
    done
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
