# Runs the image's server until no client has been connected for a while; the container then ends and is removed.
#
# The server itself knows its clients, so this holds however a test process ends, and wherever the daemon runs.
# Arguments: the seconds to wait after the last client, then the server's own.
linger=$1
shift
for folder in /usr/lib/postgresql/*/bin; do PATH=$folder:$PATH; done
docker-entrypoint.sh postgres "$@" &
server=$!
trap 'kill -QUIT "$server"; exit 0' TERM INT
clients="SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
# The test process that started the container connects as soon as it can.
idle=-10
starting=0
while kill -0 "$server" 2>/dev/null && [ "$idle" -lt "$linger" ] && [ "$starting" -lt 120 ]; do
    sleep 1
    if ! count=$(psql -U "$POSTGRES_USER" -d postgres -Atqc "$clients" 2>/dev/null); then
        starting=$((starting + 1))
    elif [ "${count:-0}" -gt 0 ]; then
        idle=0
    else
        idle=$((idle + 1))
    fi
done
kill -QUIT "$server" 2>/dev/null
wait "$server"
