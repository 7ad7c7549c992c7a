# Ctrl-C: exit 130, and the table is as it was before, its automatic index too.
grid 60000 >grid.csv
kith import db/t grid.csv -q >/dev/null
stop() { # runs a command and interrupts it shortly after
    (trap - INT; exec "$@") >/dev/null 2>err.txt &
    pid=$!
    sleep 0.3
    kill -INT $pid 2>/dev/null
    wait $pid
    echo "exit $?"
    cat err.txt
}
set -m # without job control the shell would make its children deaf to SIGINT
stop kith index db/t --type IVF_FLAT --num-partitions 16384 --max-iterations 10000 --threads 1
kith info db/t --json | grep -o '"rows":60000,"version":1'
kith index db/t --list | sed -E 's/ +[0-9.]+ MB$//; s/ +SIZE$//'
# while it waits for a pipe that says nothing
mkfifo silent
sleep 30 >silent 2>/dev/null &
holder=$!
stop kith import db/u - <silent
kill $holder
wait $holder 2>/dev/null
kith info db --json | grep -o '"table":"[a-z]*"'
