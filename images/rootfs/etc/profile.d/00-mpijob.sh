# A login shell keeps the PATH that it was started with, the image's or what somebody made of it:
# /etc/profile has just put Debian's in its place. Files that come after this one add to it.
PATH=$(sed -z -n 's/^PATH=//p' "/proc/$$/environ" 2>/dev/null | tr -d '\0')
PATH=${PATH:-/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/opt/openmpi/bin:/usr/sbin:/usr/bin:/sbin:/bin}
export PATH
