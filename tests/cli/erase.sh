# Rows whose bytes leave every file: fragments, indexes, the log, older versions.
printf 'id,note,vector\n' >rows.csv
for i in $(seq 0 99); do echo "$i,the secret of $i,\"[$i.25, 4711.5, 3, 4]\"" >>rows.csv; done
marks() { # how many files hold bytes of row $1: its text, or the first two numbers of its vector
    number=$(awk -v n="$1" 'BEGIN { printf "%d", n }')
    python3 - "$number" db/t.kith <<'END'
import pathlib, struct, sys
row, files = int(sys.argv[1]), 0
marks = [b"the secret of %d" % row + end for end in (b"the", b",", b"\0", b'"', b"\n")] + [struct.pack("<ff", row + 0.25, 4711.5)]
for path in pathlib.Path(sys.argv[2]).rglob("*"):
    files += path.is_file() and any(mark in path.read_bytes() for mark in marks)
print("some" if files else "no", f"file holds row {row}")
END
}
kith import db/t rows.csv -q >/dev/null
kith index db/t --column id -q >/dev/null 2>&1
kith index db/t --column note -q >/dev/null 2>&1
marks 7; marks 8
kith erase db/t --where 'id = ?' --param 7
marks 7; marks 8
kith log db/t --json | grep -o '"operation":"[a-z]*"'
kith erase db/t --where 'id = 8' --json | sed -E 's/"(files|bytes)_removed":[0-9]+/"\1_removed":N/g'
marks 8; marks 9
kith search db/t --where 'id < 10' --vector '[7, 4711, 3, 4]' -k 10 -q --columns id --json | grep -o '"id":[0-9]*' | sort | tr '\n' ' '
echo
kith verify db/t | sed -E 's/[0-9]+ files/N files/'
# A file that no version names may hold them; it is named, and goes when nobody else writes.
cp rows.csv db/t.kith/data/0123456789abcdef0123-0000.arrow
fails kith erase db/t --where 'id = 9'
marks 9
kith erase db/t --deleted --alone
marks 9
kith erase db/t --where 'id >= 0' | cut -d';' -f1
kith verify db/t | sed -E 's/[0-9]+ files/N files/'
fails kith erase db/t
fails kith erase db/t --where 'id = 1' --deleted
