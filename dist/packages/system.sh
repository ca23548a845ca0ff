# What a package makes on the system, beside its files.

# make_user makes the user husk. Files are the packager's, so it is made after them.
make_user() {
  if command -v systemd-sysusers >/dev/null; then
    systemd-sysusers husk.conf
  elif ! getent passwd husk >/dev/null; then
    command -v useradd >/dev/null || {
      echo "husk: there is neither systemd-sysusers nor useradd: make a system user 'husk' with a group of that name and the home /var/lib/husk, then try again" >&2
      exit 1
    }
    useradd --system --user-group --no-create-home --home-dir /var/lib/husk --shell /usr/sbin/nologin --comment Husk husk
  fi
}

# make_folders makes the folders of the store and of backups, where they are absent.
# One that is a link to another disk is left to who made it.
make_folders() {
  for folder in /var/lib/husk /var/backups/husk; do
    [ -e "$folder" ] || [ -L "$folder" ] || install -d -m 700 -o husk -g husk "$folder"
  done
}

# runs tells whether systemd is the one that starts services here.
runs() { [ -d /run/systemd/system ] && command -v systemctl >/dev/null; }
