# Runs the image's server until no client has been connected for a while; the container then ends and is removed.
#
# The server itself knows its clients, so this holds however a test process ends, and wherever the daemon runs.
# Arguments: the seconds to wait after the last client, then the server's own.
linger=$1
shift
docker-entrypoint.sh redis-server "$@" &
server=$!
trap 'kill -KILL "$server"; exit 0' TERM INT
# The test process that started the container connects as soon as it can.
idle=-10
starting=0
while kill -0 "$server" 2>/dev/null && [ "$idle" -lt "$linger" ] && [ "$starting" -lt 120 ]; do
    sleep 1
    if ! clients=$(redis-cli client list 2>/dev/null); then
        starting=$((starting + 1))
    # One of them is the one that asks.
    elif [ "$(echo "$clients" | grep -c '^id=')" -gt 1 ]; then
        idle=0
    else
        idle=$((idle + 1))
    fi
done
kill -KILL "$server" 2>/dev/null
wait "$server"
