//! Taking all files to another place.

use super::Blobs;
use super::paths::BlobOwner;
use crate::Result;

impl Blobs {
    /// Copies every file to `target` that is not there yet, under the same path; how many were copied. An interrupted call can
    /// be repeated.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn copy_all_to(&self, target: &Self) -> Result<u64> {
        let mut copied = 0;
        for folder in BlobOwner::FOLDERS {
            for blob in self.list(folder).await? {
                if target.length(&blob.path).await? == Some(blob.bytes) {
                    continue;
                }
                // Gone meanwhile: nothing points to it.
                let Some(bytes) = self.get(&blob.path).await? else { continue };
                target.put(&blob.path, bytes).await?;
                copied += 1;
            }
        }
        Ok(copied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{JobId, UploadId};

    #[tokio::test]
    async fn what_is_there_is_not_copied_again() {
        let (from, to) = (Blobs::memory(), Blobs::memory());
        let input = Blobs::input_path(&JobId::random(), 0);
        from.put(&input, "one".into()).await.unwrap();
        assert_eq!(from.copy_all_to(&to).await.unwrap(), 1);
        let upload = Blobs::new_upload_path(&UploadId::random(), "image/png");
        from.put(&upload, "two".into()).await.unwrap();
        // Half of a file is none.
        to.put(&input, "o".into()).await.unwrap();
        assert_eq!(from.copy_all_to(&to).await.unwrap(), 2);
        assert_eq!(from.copy_all_to(&to).await.unwrap(), 0);
        assert_eq!(to.get(&input).await.unwrap().unwrap(), "one");
        assert_eq!(to.get(&upload).await.unwrap().unwrap(), "two");
    }
}
