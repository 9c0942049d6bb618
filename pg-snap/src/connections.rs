//! How many sessions the server accepts: by the limits of the role and the database, and by `max_connections`.

use pipe_kit::info;
use std::num::NonZero;

/// Sessions of a dump besides those of its jobs: the one that holds the snapshot, two of pg_dump, and one for
/// questions.
pub const BESIDE_DUMP: i64 = 4;
/// Sessions of a load besides those of its jobs: the ordered one, the one with the lock, and one for questions.
pub const BESIDE_LOAD: i64 = 3;
/// The least that a load takes.
pub const LEAST_OF_LOAD: i64 = BESIDE_LOAD + 1;
/// The limit that is recommended: for the jobs of a usual server, and for other sessions.
pub const ENOUGH: i64 = 20;

/// An SQL expression: how many sessions the connected role may have in a database, with those that it has
/// under the name `ours`. Both parameters are SQL expressions.
pub fn accepted(database: &str, ours: &str) -> String {
    include_str!("connections.sql").replace(":database", database).replace(":ours", ours)
}

/// The number of jobs that leaves room for the sessions beside them; one at least.
pub fn limit_jobs(wanted: NonZero<usize>, beside: i64, accepted: i64) -> NonZero<usize> {
    let room = usize::try_from(accepted - beside).unwrap_or(0);
    let room = NonZero::new(room).unwrap_or(NonZero::<usize>::MIN);
    if room < wanted {
        info!(
            "using {room} of {wanted} jobs: the server accepts {accepted} sessions, by the limit of the role, \
             of the database, or max_connections"
        );
    }
    wanted.min(room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_leave_room_for_the_other_sessions_and_there_is_one_at_least() {
        let limited = |wanted, accepted| {
            NonZero::new(wanted)
                .map(|wanted| limit_jobs(wanted, BESIDE_LOAD, accepted).get())
                .unwrap_or(0)
        };
        assert_eq!(
            [(16, 97), (16, 19), (16, 18), (16, 5)].map(|(w, a)| limited(w, a)),
            [16, 16, 15, 2]
        );
        assert_eq!([4, 3, 0, -1, -97].map(|accepted| limited(8, accepted)), [1; 5]);
    }
}
