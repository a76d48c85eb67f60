//! Which phase follows which. Source: CodeBuild user guide, 'Build phase transitions', and 'Build specification
//! reference', `phases/*/on-failure`.

use aws_sdk_codebuild::types::BuildPhaseType;

use crate::buildspec::OnFailure;

/// A phase after the sources are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Install,
    PreBuild,
    Build,
    PostBuild,
    UploadArtifacts,
    Finalizing,
}

impl Phase {
    pub(crate) const fn kind(self) -> BuildPhaseType {
        match self {
            Self::Install => BuildPhaseType::Install,
            Self::PreBuild => BuildPhaseType::PreBuild,
            Self::Build => BuildPhaseType::Build,
            Self::PostBuild => BuildPhaseType::PostBuild,
            Self::UploadArtifacts => BuildPhaseType::UploadArtifacts,
            Self::Finalizing => BuildPhaseType::Finalizing,
        }
    }

    /// The phase after this one.
    ///
    /// POST_BUILD and UPLOAD_ARTIFACTS come also after a BUILD that failed; a failed INSTALL or PRE_BUILD leads to
    /// FINALIZING. `on-failure` changes that: ABORT ends the build, CONTINUE goes on with the next phase.
    pub(crate) fn next(self, failed: bool, on_failure: Option<OnFailure>) -> Self {
        let goes_on = match (failed, on_failure) {
            (false, _) | (true, Some(OnFailure::Continue)) => true,
            (true, Some(OnFailure::Abort)) => false,
            (true, None) => matches!(self, Self::Build | Self::PostBuild),
        };
        match self {
            _ if !goes_on => Self::Finalizing,
            Self::Install => Self::PreBuild,
            Self::PreBuild => Self::Build,
            Self::Build => Self::PostBuild,
            Self::PostBuild => Self::UploadArtifacts,
            Self::UploadArtifacts | Self::Finalizing => Self::Finalizing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(failing: &[Phase], on_failure: Option<OnFailure>) -> Vec<Phase> {
        let (mut phase, mut way) = (Phase::Install, Vec::new());
        while phase != Phase::Finalizing {
            way.push(phase);
            phase = phase.next(failing.contains(&phase), on_failure);
        }
        way
    }

    #[test]
    fn a_build_goes_through_all_phases() {
        use Phase::{Build, Install, PostBuild, PreBuild, UploadArtifacts};
        assert_eq!(way(&[], None), [Install, PreBuild, Build, PostBuild, UploadArtifacts]);
    }

    #[test]
    fn a_failed_build_phase_still_leads_to_post_build_and_artifacts() {
        use Phase::{Build, Install, PostBuild, PreBuild, UploadArtifacts};
        assert_eq!(way(&[Build], None), [Install, PreBuild, Build, PostBuild, UploadArtifacts]);
        assert_eq!(way(&[Build, PostBuild], None), [Install, PreBuild, Build, PostBuild, UploadArtifacts]);
        assert_eq!(way(&[Install], None), [Install]);
        assert_eq!(way(&[PreBuild], None), [Install, PreBuild]);
    }

    #[test]
    fn on_failure_says_otherwise() {
        use Phase::{Build, Install, PostBuild, PreBuild, UploadArtifacts};
        assert_eq!(way(&[Build], Some(OnFailure::Abort)), [Install, PreBuild, Build]);
        let all = [Install, PreBuild, Build, PostBuild, UploadArtifacts];
        assert_eq!(way(&[Install, PreBuild], Some(OnFailure::Continue)), all);
    }
}
