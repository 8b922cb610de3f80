//! Files that stand beside the pictures: masks, and what a variation starts from.

use super::sources::Sources;
use crate::beside_pictures::BesidePictures;
use crate::failure::CommandFailure;
use crate::origin::Origins;
use afterimage_core::PictureRole;
use std::path::{Path, PathBuf};

/// What stands for a picture without a mask.
const NO_MASK: &str = "none";

impl BesidePictures {
    /// All files of a command in the order in which they are read, what each is for, and those that go with each picture
    /// that is taken by itself. No role: all are pictures.
    ///
    /// # Errors
    /// When there are not as many masks as pictures.
    pub fn laid_out(
        &self,
        sources: Sources,
        origins: &Origins,
    ) -> Result<(Sources, Vec<PictureRole>, Vec<PathBuf>), CommandFailure> {
        let together = match &sources {
            Sources::Together { paths, .. } => paths.len(),
            Sources::Each(_) => 1,
        };
        let masks = self.image_masks.len();
        if masks > 0 && masks != together {
            let problem =
                format!("{masks} masks for {together} pictures; name one for each, or `{NO_MASK}` where there is none");
            return Err(CommandFailure::bad_input(origins.subject("image_mask"), problem));
        }
        let mask_of = |index: usize| self.image_masks.get(index).filter(|mask| *mask != Path::new(NO_MASK));
        let behind = || {
            let named = [(self.start.clone(), PictureRole::Start), (self.mask.clone(), PictureRole::Mask)];
            named.into_iter().filter_map(|(path, role)| Some((path?, role)))
        };
        let of_picture = |index: usize| mask_of(index).map(|mask| (mask.clone(), PictureRole::PictureMask));
        Ok(match sources {
            Sources::Together { paths, named_after } => {
                let with_mask = |(index, path): (usize, PathBuf)| {
                    [Some((path, PictureRole::Picture)), of_picture(index)].into_iter().flatten()
                };
                let all = paths.into_iter().enumerate().flat_map(with_mask).chain(behind());
                let (paths, roles) = all.unzip();
                (Sources::Together { paths, named_after }, needed(roles), Vec::new())
            }
            Sources::Each(each) => {
                let (beside, roles): (Vec<_>, Vec<_>) = of_picture(0).into_iter().chain(behind()).unzip();
                (Sources::Each(each), needed([vec![PictureRole::Picture], roles].concat()), beside)
            }
        })
    }
}

/// `roles`, unless they say nothing.
fn needed(roles: Vec<PictureRole>) -> Vec<PictureRole> {
    if roles.iter().all(|role| *role == PictureRole::Picture) { Vec::new() } else { roles }
}
