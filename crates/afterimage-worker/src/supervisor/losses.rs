//! When a device is given up: it fails again and again, and not with one job alone.

use afterimage_jobs::JobId;

/// Failures of a device in a row after which the next process would fail as well.
const MOST: u32 = 2;

/// Failures of one process's device, without a picture made between.
#[derive(Debug, Default)]
pub struct DeviceLosses {
    in_a_row: u32,
    /// What ran at the last of them.
    job: Option<JobId>,
}

impl DeviceLosses {
    /// Notes that the device failed while `job` ran, in a process that had made pictures before or not.
    pub fn note(&mut self, job: Option<JobId>, had_worked: bool) {
        if had_worked {
            *self = Self::default();
        }
        // The same job again says more of the job than of the device; what is tried too often is given up elsewhere.
        if self.in_a_row == 0 || job.is_none() || job != self.job {
            self.in_a_row += 1;
        }
        self.job = job;
    }

    /// Whether nothing is to be expected of the device any more.
    pub fn are_too_many(&self) -> bool {
        self.in_a_row >= MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_job_alone_takes_no_device_out() {
        let [one, other] = [JobId::random(), JobId::random()];
        let after = |losses: &[(Option<&JobId>, bool)]| {
            let mut noted = DeviceLosses::default();
            for (job, had_worked) in losses {
                noted.note(job.cloned(), *had_worked);
            }
            noted.are_too_many()
        };
        assert!(!after(&[(Some(&one), true), (Some(&one), false), (Some(&one), false)]));
        assert!(after(&[(Some(&one), true), (Some(&one), false), (Some(&other), false)]));
        assert!(!after(&[(Some(&one), false), (Some(&other), true)]), "a picture was made between");
        assert!(after(&[(None, false), (None, false)]), "it fails when it is opened");
        assert!(after(&[(Some(&one), false), (None, false)]));
    }
}
