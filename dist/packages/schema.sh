# A husk can't read the store of a newer one, and would not start. So that is told
# before anything is replaced, and what is there goes on.
knows=@SCHEMA@ data=/var/lib/husk

# store_schema prints the schema of the store, nothing where there is none. The
# husk that is there tells; where none is, or one from before it could, the record
# as it lies in the file does, behind its key and its checksum. Lines split those
# 8 bytes where one is a line end, and NULs where one is that: so both are tried, also
# under set -e, where the first that finds nothing would be the end.
store_schema() {
  found=
  [ ! -x /usr/bin/husk ] ||
    found=$(env -i PATH="$PATH" timeout 60 /usr/bin/husk check --schema --data "$data" 2>/dev/null </dev/null | sed -n 's/^schema: *//p') || found=
  if [ -z "$found" ] && [ -f "$data/husk.db" ] && [ ! -L "$data/husk.db" ]; then
    record=$(printf 'schema\001.\\{8\\}{"schema":[0-9]\\{1,9\\},"')
    found=$({ LC_ALL=C grep -aho -e "$record" "$data/husk.db" || true; LC_ALL=C grep -zaho -e "$record" "$data/husk.db" | tr '\000' '\n'; } |
      LC_ALL=C sed -n 's/.*{"schema":\([0-9]*\),"$/\1/p' | sort -n | tail -n 1)
  fi
  case $found in '' | *[!0-9]*) ;; *) echo "$found" ;; esac
}

refuse_newer_store() {
  there=$(store_schema)
  [ -n "$there" ] && [ "$there" -gt "$knows" ] || return 0
  {
    echo "husk @NUMBER@ is not installed: the store in $data is of schema $there, of a newer husk, and this one reads schemas up to $knows."
    echo 'Nothing was changed. To go back, put a store in place that it reads; what was changed since that one is then gone:'
    echo '  systemctl stop husk.socket husk.service'
    schema=$knows
    while [ "$schema" -gt 0 ] && [ ! -f "$data/husk.db.schema-$schema" ]; do schema=$((schema - 1)); done
    copy=$data/husk.db.schema-$schema
    after=''
    if [ ! -x /usr/bin/husk ]; then
      echo "  mv $data/husk.db $data/husk.db.schema-$there$([ "$schema" = 0 ] || echo " && cp -p $copy $data/husk.db")"
      [ "$schema" -gt 0 ] || after=" 'husk restore BACKUP' with one from before the upgrade,"
    else
      [ "$schema" -gt 0 ] || copy='BACKUP        # one from before the upgrade'
      echo "  husk restore $copy"
    fi
    echo "Then install this package again,$after and: systemctl start husk.socket husk.service"
  } >&2
  exit 1
}
