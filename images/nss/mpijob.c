/* Gives a process a user name if the system's files do not: libnss_mpijob.so.2, a module of the
 * GNU C library's Name Service Switch.
 *
 * OpenShift runs containers under a random UID. ssh, scp and sshd refuse a user without an entry
 * ("No user exists for uid"), and the one that CRI-O adds to /etc/passwd has no login shell. The
 * operators replace an image's ENTRYPOINT, so nothing of ours need have run before ssh is called.
 *
 * The only user that this module knows is the one who asks, so nobody becomes somebody else by it,
 * and there is no file that must be written, trusted or kept.
 */
#define _GNU_SOURCE /* secure_getenv, fgetpwent_r */
#include <errno.h>
#include <nss.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME "mpiuser" /* the same on all hosts: ssh asks for the launcher's own name there */
#define HOME "/home/mpiuser"
#define LEAST_UID 500 /* lower ones are the system's own */

static int ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), wanted = strlen(end);
    return length >= wanted && strcmp(text + length - wanted, end) == 0;
}

/* Whether /etc/passwd has an entry for this user that sshd lets in. */
static int can_log_in(uid_t uid)
{
    FILE *file = fopen("/etc/passwd", "re");
    struct passwd entry, *found;
    char line[4096];
    int answer = 0;

    if (file == NULL)
        return 0;
    while (!answer && fgetpwent_r(file, &entry, line, sizeof line, &found) == 0)
        answer = entry.pw_uid == uid && !ends_with(entry.pw_shell, "/nologin")
                 && !ends_with(entry.pw_shell, "/false");
    fclose(file);
    return answer;
}

static enum nss_status describe(uid_t uid, struct passwd *entry, char *buffer, size_t size,
                                int *error)
{
    const char *home = secure_getenv("HOME");

    if (uid < LEAST_UID || can_log_in(uid))
        return NSS_STATUS_NOTFOUND;
    if (home == NULL || home[0] != '/' || strpbrk(home, ":\n") != NULL)
        home = HOME;
    if (strlen(home) >= size) {
        *error = ERANGE;
        return NSS_STATUS_TRYAGAIN;
    }
    entry->pw_name = NAME;
    entry->pw_passwd = "x";
    entry->pw_uid = uid;
    entry->pw_gid = getegid();
    entry->pw_gecos = "MPI job";
    entry->pw_dir = strcpy(buffer, home);
    entry->pw_shell = "/bin/sh";
    return NSS_STATUS_SUCCESS;
}

enum nss_status _nss_mpijob_getpwuid_r(uid_t uid, struct passwd *entry, char *buffer, size_t size,
                                       int *error)
{
    if (uid != geteuid())
        return NSS_STATUS_NOTFOUND;
    return describe(uid, entry, buffer, size, error);
}

enum nss_status _nss_mpijob_getpwnam_r(const char *name, struct passwd *entry, char *buffer,
                                       size_t size, int *error)
{
    if (strcmp(name, NAME) != 0)
        return NSS_STATUS_NOTFOUND;
    return describe(geteuid(), entry, buffer, size, error);
}
