//! Making and recognising the addresses of our own files.

use super::signing::{Purpose, Signer};
use afterimage_jobs::{Clock, Job, JobId, ResultFile, SystemClock, Timestamp, Upload, UploadId};
use std::time::Duration;
use url::Url;

/// Makes and recognises addresses of results and uploads.
#[derive(Clone, Debug)]
pub struct FileLinks {
    signer: Signer,
    /// How long a file can be read after it was made, unless less was asked for: as long as it is kept.
    lifetime: Duration,
}

/// How long the addresses of [`Purpose::Put`] and [`Purpose::Parts`] take bytes.
pub(super) const PUT_LIFETIME: Duration = Duration::from_hours(1);

/// What paths begin with that hold signatures, which must not be logged.
pub const SIGNED_PATHS: &str = "/media/files/";

/// A file of ours that an address names and its signature allows to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnFile {
    /// The result of a job.
    Result {
        /// The job.
        job: JobId,
        /// Which of its files, from 0.
        index: usize,
    },
    /// An upload.
    Upload(UploadId),
}

impl FileLinks {
    /// Addresses signed by `signer` that work for `lifetime` after a file was made.
    pub const fn new(signer: Signer, lifetime: Duration) -> Self {
        Self { signer, lifetime }
    }

    /// The signer, for other secrets that derive from the same root.
    pub const fn signer(&self) -> &Signer {
        &self.signer
    }

    /// Address of file `index` of `job` under `base`.
    pub fn result(&self, base: &str, job: &Job, index: usize, output: &ResultFile) -> String {
        let made = job.finished_at.unwrap_or(job.created_at);
        let file = format!("{index}.{}", extension(&output.content_type));
        let subject = format!("{}/{index}", job.id);
        let expires = made.plus(self.lifetime(job.kept_for));
        self.address(base, &format!("results/{}/{file}", job.id), Purpose::Result, &subject, expires)
    }

    fn lifetime(&self, kept_for: Option<Duration>) -> Duration {
        kept_for.map_or(self.lifetime, |own| own.min(self.lifetime))
    }

    /// Address of `upload` under `base`; `content_type` decides the extension.
    pub fn upload(&self, base: &str, upload: &Upload, content_type: &str) -> String {
        let id = &upload.id;
        let file = format!("{id}.{}", extension(content_type));
        let expires = upload.created_at.plus(self.lifetime(upload.kept_for));
        self.address(base, &format!("uploads/{file}"), Purpose::Upload, id.as_str(), expires)
    }

    /// Address under `base` that takes the bytes of `upload`, once, without a key.
    pub fn put(&self, base: &str, upload: &Upload) -> String {
        let id = &upload.id;
        let expires = upload.created_at.plus(PUT_LIFETIME);
        self.address(base, &format!("put/{id}"), Purpose::Put, id.as_str(), expires)
    }

    /// Address under `base` that takes the parts of `upload`, each under its number, without a key. Clients put the
    /// number in front of the query.
    pub fn parts(&self, base: &str, upload: &Upload) -> String {
        let id = &upload.id;
        let expires = upload.created_at.plus(PUT_LIFETIME);
        self.address(base, &format!("parts/{id}"), Purpose::Parts, id.as_str(), expires)
    }

    /// Address of `upload` under `base` as [`FileLinks::upload`], but without a query: clients that send parts put what
    /// they send behind it.
    pub fn upload_without_query(&self, base: &str, upload: &Upload, content_type: &str) -> String {
        let id = &upload.id;
        let expires = upload.created_at.plus(self.lifetime(upload.kept_for)).unix_seconds();
        let signature = self.signer.sign(Purpose::Upload, id.as_str(), expires);
        format!("{base}{SIGNED_PATHS}{expires}/{signature}/{id}.{}", extension(content_type))
    }

    /// What allows to send the parts of `upload` behind such an address; [`FileLinks::allows_parts`] reads it.
    pub fn parts_ticket(&self, upload: &Upload) -> String {
        let expires = upload.created_at.plus(PUT_LIFETIME).unix_seconds();
        format!("{expires}.{}", self.signer.sign(Purpose::Parts, upload.id.as_str(), expires))
    }

    /// Whether `ticket` allows to send parts of the upload `id` now.
    pub fn allows_parts(&self, id: &UploadId, ticket: &str) -> bool {
        let parts = ticket.split_once('.').and_then(|(expires, signature)| Some((expires.parse().ok()?, signature)));
        parts.is_some_and(|(expires, signature)| self.allows(Purpose::Parts, id.as_str(), expires, signature))
    }

    fn address(&self, base: &str, path: &str, purpose: Purpose, subject: &str, expires: Timestamp) -> String {
        let expires = expires.unix_seconds();
        let signature = self.signer.sign(purpose, subject, expires);
        format!("{base}/media/{path}?expires={expires}&signature={signature}")
    }

    /// Whether `signature` allows `purpose` on `subject` now.
    pub fn allows(&self, purpose: Purpose, subject: &str, expires: i64, signature: &str) -> bool {
        self.signer.check(purpose, subject, expires, signature, SystemClock.now().unix_seconds())
    }

    /// The file that `address` names, if it is one of ours with a valid signature. The host does not matter: only this
    /// installation can have made the signature, whatever name it was reached by.
    pub fn recognise(&self, address: &str) -> Option<OwnFile> {
        let url = Url::parse(address).ok()?;
        let value = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        let mut segments: Vec<&str> = url.path_segments()?.collect();
        let file = segments.pop()?;
        let stem = file.split('.').next()?;
        if let [.., "files", expires, signature] = segments[..] {
            let id = UploadId::parse(stem)?;
            let allowed = self.allows(Purpose::Upload, id.as_str(), expires.parse().ok()?, signature);
            return allowed.then_some(OwnFile::Upload(id));
        }
        let expires: i64 = value("expires")?.parse().ok()?;
        let signature = value("signature")?;
        let folder = segments.pop()?;
        if folder == "uploads" {
            let id = UploadId::parse(stem)?;
            return self.allows(Purpose::Upload, id.as_str(), expires, &signature).then_some(OwnFile::Upload(id));
        }
        let job = JobId::parse(folder)?;
        let index: usize = stem.parse().ok()?;
        let allowed = self.allows(Purpose::Result, &format!("{job}/{index}"), expires, &signature);
        (allowed && segments.pop() == Some("results")).then_some(OwnFile::Result { job, index })
    }
}

/// File name extension of one of the types that are ever stored.
fn extension(content_type: &str) -> &'static str {
    match content_type {
        "image/jpeg" => "jpeg",
        "image/png" => "png",
        "image/webp" => "webp",
        "image/gif" => "gif",
        "image/bmp" => "bmp",
        "image/tiff" => "tiff",
        _ => "bin",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterimage_jobs::{KeyId, UploadState};

    fn links(lifetime: u64) -> FileLinks {
        FileLinks::new(Signer::new([3; 32]), Duration::from_secs(lifetime))
    }

    fn upload() -> Upload {
        Upload {
            id: UploadId::random(),
            key: KeyId::from("k"),
            filename: "../x.png".into(),
            declared_type: String::new(),
            state: UploadState::Pending,
            created_at: SystemClock.now(),
            kept_for: None,
        }
    }

    #[test]
    fn an_address_is_recognised_under_any_host_and_prefix() {
        let (links, upload) = (links(60), upload());
        for base in ["http://127.0.0.1:8080", "https://pictures.example/behind/a/proxy"] {
            let address = links.upload(base, &upload, "image/png");
            assert!(address.contains("/media/uploads/") && !address.contains("x.png"), "{address}");
            assert_eq!(links.recognise(&address), Some(OwnFile::Upload(upload.id.clone())));
            let address = links.upload_without_query(base, &upload, "image/png");
            assert!(!address.contains('?'), "{address}");
            assert_eq!(links.recognise(&address), Some(OwnFile::Upload(upload.id.clone())));
        }
    }

    #[test]
    fn changed_expired_and_foreign_addresses_are_not() {
        let (links, upload) = (links(60), upload());
        let address = links.upload("http://h", &upload, "image/png");
        for bad in [
            address.replace("expires=1", "expires=2"),
            address.replace("signature=", "signature=x"),
            address.replace(upload.id.as_str(), UploadId::random().as_str()),
            address.replace("/uploads/", "/results/"),
            links.put("http://h", &upload).replace("/put/", "/uploads/"),
            links.parts("http://h", &upload).replace("/parts/", "/uploads/"),
            links.upload_without_query("http://h", &upload, "image/png").replace("/files/1", "/files/2"),
            links.upload_without_query("http://h", &upload, "image/png").replace("/files/", "/"),
            links.upload_without_query("http://h", &upload, "") + "/multipart/x/1",
            "http://h/media/uploads/x".to_owned(),
            "not an address".to_owned(),
        ] {
            assert_eq!(links.recognise(&bad), None, "{bad}");
        }
        let brief = Upload { kept_for: Some(Duration::ZERO), ..upload.clone() };
        assert_eq!(links.recognise(&links.upload("http://h", &brief, "image/png")), None);
        assert_eq!(self::links(0).recognise(&self::links(0).upload("http://h", &upload, "image/png")), None);
    }

    #[test]
    fn parts_are_taken_with_a_ticket_for_them_only() {
        let (links, one, other) = (links(60), upload(), upload());
        let ticket = links.parts_ticket(&one);
        assert!(links.allows_parts(&one.id, &ticket) && !links.allows_parts(&other.id, &ticket));
        let put = links.put("http://h", &one);
        let signature = put.split_once("signature=").unwrap().1;
        let (expires, _) = ticket.split_once('.').unwrap();
        for bad in
            ["", ".", expires, &format!("{expires}.{signature}"), &format!("9{ticket}"), &ticket.replace('.', "")]
        {
            assert!(!links.allows_parts(&one.id, bad), "{bad}");
        }
    }
}
