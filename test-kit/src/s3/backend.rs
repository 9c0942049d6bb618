//! S3's operations on the store.

use super::bodies::Fate;
use super::faults::{Act, Faults};
use super::listing::PAGE;
use super::lock::{Lock, Locks, check_asked};
use super::multipart;
use super::object::{Blob, Object, Properties};
use super::pages;
use super::properties::{
    check_conditions, check_md5, check_sha256, describe, properties, signed, tags_of,
};
use super::stats::Stats;
use super::store::{Bucket, Store};
use hyper::StatusCode;
use rustix::process::{Signal, getpid, kill_process};
use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use std::sync::Arc;

/// Makes the server, by a status that S3 does not know, close the connection instead.
pub(super) const HANG_UP: StatusCode = StatusCode::IM_A_TEAPOT;

pub(super) struct Backend {
    pub(super) store: Arc<Store>,
    pub(super) stats: Arc<Stats>,
    pub(super) faults: Arc<Faults>,
    /// Whether its buckets have Object Lock.
    pub(super) locks: Locks,
}

impl Backend {
    fn copy(&self, input: &CopyObjectInput) -> S3Result<Object> {
        let CopySource::Bucket { bucket, key, .. } = &input.copy_source else {
            return Err(s3_error!(NotImplemented, "only copies from buckets are known"));
        };
        let source = self.store.object(bucket, key)?;
        let replace = input.metadata_directive.as_ref().is_some_and(|d| d.as_str() == "REPLACE");
        if !replace && **bucket == *input.bucket && **key == *input.key {
            return Err(s3_error!(InvalidRequest, "copying an object to itself changes nothing"));
        }
        let properties: Properties =
            if replace { properties!(input) } else { source.properties.clone() };
        let retag = input.tagging_directive.as_ref().is_some_and(|d| d.as_str() == "REPLACE");
        let tags = if retag { tags_of(input.tagging.as_deref()) } else { source.tags.clone() };
        Ok(Object::new(source.blob.clone(), properties, tags))
    }

    /// Counts a request, and shows the fault that is due; what is left of it concerns the body.
    async fn begin(&self, operation: &'static str) -> S3Result<Fate> {
        self.stats.count(operation);
        match self.faults.next(operation) {
            None => Ok(Fate::Whole),
            Some(Act::Slow(time)) => {
                tokio::time::sleep(time).await;
                Ok(Fate::Whole)
            }
            Some(Act::Cut) if operation == "GetObject" => Ok(Fate::Cut),
            Some(Act::Garble) => Ok(Fate::Garbled),
            Some(Act::Cut | Act::Unavailable) => {
                Err(s3_error!(SlowDown, "Please reduce your request rate"))
            }
            Some(Act::Broken) => Err(s3_error!(InternalError, "We encountered an internal error")),
            Some(Act::HangUp) => {
                let mut error = s3_error!(InternalError);
                error.set_status_code(HANG_UP);
                Err(error)
            }
            Some(Act::Die) => {
                let _ = kill_process(getpid(), Signal::KILL);
                Err(s3_error!(InternalError))
            }
        }
    }
}

#[async_trait::async_trait]
impl S3 for Backend {
    async fn create_bucket(
        &self,
        req: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        self.begin("CreateBucket").await?;
        let name = req.input.bucket;
        if !self.store.create_bucket(&name)? {
            return Err(s3_error!(BucketAlreadyOwnedByYou, "The bucket exists and is yours"));
        }
        let location = Some(format!("/{name}"));
        Ok(S3Response::new(CreateBucketOutput { location }))
    }

    async fn delete_bucket(
        &self,
        req: S3Request<DeleteBucketInput>,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        self.begin("DeleteBucket").await?;
        self.store.remove_bucket(&req.input.bucket)?;
        Ok(S3Response::new(DeleteBucketOutput::default()))
    }

    async fn head_bucket(
        &self,
        req: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.begin("HeadBucket").await?;
        self.store.with(&req.input.bucket, |_| Ok(()))?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn get_bucket_location(
        &self,
        req: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.begin("GetBucketLocation").await?;
        self.store.with(&req.input.bucket, |_| Ok(()))?;
        Ok(S3Response::new(GetBucketLocationOutput::default()))
    }

    async fn list_buckets(
        &self,
        _: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        self.begin("ListBuckets").await?;
        let entry = |(name, bucket): (&String, &Bucket)| s3s::dto::Bucket {
            name: Some(name.clone()),
            creation_date: Some(bucket.created.into()),
            ..Default::default()
        };
        let buckets = Some(self.store.buckets().iter().map(entry).collect());
        Ok(S3Response::new(ListBucketsOutput { buckets, ..Default::default() }))
    }

    async fn list_objects(
        &self,
        req: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        self.begin("ListObjects").await?;
        pages::v1(&self.store, &req.input).map(S3Response::new)
    }

    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.begin("ListObjectsV2").await?;
        pages::v2(&self.store, &req.input).map(S3Response::new)
    }

    async fn put_object(
        &self,
        req: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let fate = self.begin("PutObject").await?;
        let mut input = req.input;
        self.store.with(&input.bucket, |_| Ok(()))?;
        let blob = fate.received(Blob::read(input.body.take(), input.content_length).await?);
        self.stats.took(blob.size);
        check_md5(&blob, input.content_md5.as_deref())?;
        check_sha256(&blob, input.checksum_sha256.as_deref())?;
        let has_checksum = input.content_md5.is_some() || input.checksum_sha256.is_some();
        let mut object = Object::new(blob, properties!(input), tags_of(input.tagging.as_deref()));
        check_asked(object.properties.lock.as_ref(), self.locks, has_checksum)?;
        object.sha256 = input.checksum_sha256;
        let etag = object.etag.clone();
        self.store.with(&input.bucket, |bucket| {
            let there = bucket.objects.get(&input.key);
            check_conditions(there, input.if_match.as_ref(), input.if_none_match.as_ref())?;
            bucket.put(&input.key, Arc::new(object))
        })?;
        let e_tag = Some(ETag::Strong(etag));
        Ok(S3Response::new(PutObjectOutput { e_tag, ..Default::default() }))
    }

    async fn get_object(
        &self,
        req: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let fate = self.begin("GetObject").await?;
        let input = req.input;
        let object = self.store.object(&input.bucket, &input.key)?;
        check_conditions(Some(&object), input.if_match.as_ref(), None)?;
        let size = object.blob.size;
        let range = match input.range {
            None => 0..size,
            Some(range) => range.check(size)?,
        };
        let body = Some(fate.sent(object.blob.slice(range.clone()), self.stats.clone()));
        let content_range =
            input.range.map(|_| format!("bytes {}-{}/{size}", range.start, range.end - 1));
        let tag_count = i32::try_from(object.tags.len()).ok().filter(|n| *n > 0);
        let described: GetObjectOutput = describe!(GetObjectOutput, &*object);
        let wants_checksum = input.checksum_mode.is_some_and(|mode| mode.as_str() == "ENABLED");
        let content_length = Some(signed(range.end - range.start));
        Ok(S3Response::new(GetObjectOutput {
            body,
            content_length,
            content_range,
            checksum_sha256: object.sha256.clone().filter(|_| wants_checksum),
            tag_count,
            ..described
        }))
    }

    async fn head_object(
        &self,
        req: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        self.begin("HeadObject").await?;
        let object = self.store.object(&req.input.bucket, &req.input.key)?;
        let described: HeadObjectOutput = describe!(HeadObjectOutput, &*object);
        let content_length = Some(signed(object.blob.size));
        Ok(S3Response::new(HeadObjectOutput { content_length, ..described }))
    }

    async fn copy_object(
        &self,
        req: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        self.begin("CopyObject").await?;
        let object = self.copy(&req.input)?;
        let result = CopyObjectResult {
            e_tag: Some(ETag::Strong(object.etag.clone())),
            last_modified: Some(object.modified.into()),
            ..Default::default()
        };
        self.store
            .with(&req.input.bucket, |bucket| bucket.put(&req.input.key, Arc::new(object)))?;
        let copy_object_result = Some(result);
        Ok(S3Response::new(CopyObjectOutput { copy_object_result, ..Default::default() }))
    }

    async fn delete_object(
        &self,
        req: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.begin("DeleteObject").await?;
        self.store.with(&req.input.bucket, |bucket| bucket.remove(&req.input.key))?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        req: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        self.begin("DeleteObjects").await?;
        let Delete { objects, quiet } = req.input.delete;
        if objects.len() > PAGE {
            return Err(s3_error!(MalformedXML, "more than 1000 keys to delete"));
        }
        let gone = self.store.with(&req.input.bucket, |bucket| {
            let remove = |object: ObjectIdentifier| {
                bucket.remove(&object.key)?;
                Ok(DeletedObject { key: Some(object.key), ..Default::default() })
            };
            objects.into_iter().map(remove).collect::<S3Result<Vec<_>>>()
        })?;
        let deleted = (quiet != Some(true)).then_some(gone);
        Ok(S3Response::new(DeleteObjectsOutput { deleted, ..Default::default() }))
    }

    async fn get_object_tagging(
        &self,
        req: S3Request<GetObjectTaggingInput>,
    ) -> S3Result<S3Response<GetObjectTaggingOutput>> {
        self.begin("GetObjectTagging").await?;
        let object = self.store.object(&req.input.bucket, &req.input.key)?;
        let tag = |(k, v): &(String, String)| Tag { key: Some(k.clone()), value: Some(v.clone()) };
        let tag_set = object.tags.iter().map(tag).collect();
        Ok(S3Response::new(GetObjectTaggingOutput { tag_set, ..Default::default() }))
    }

    async fn put_object_tagging(
        &self,
        req: S3Request<PutObjectTaggingInput>,
    ) -> S3Result<S3Response<PutObjectTaggingOutput>> {
        self.begin("PutObjectTagging").await?;
        let tag = |tag: Tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default());
        let tags = req.input.tagging.tag_set.into_iter().map(tag).collect();
        self.retag(&req.input.bucket, &req.input.key, tags)?;
        Ok(S3Response::new(PutObjectTaggingOutput::default()))
    }

    async fn delete_object_tagging(
        &self,
        req: S3Request<DeleteObjectTaggingInput>,
    ) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
        self.begin("DeleteObjectTagging").await?;
        self.retag(&req.input.bucket, &req.input.key, Vec::new())?;
        Ok(S3Response::new(DeleteObjectTaggingOutput::default()))
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.begin("CreateMultipartUpload").await?;
        multipart::create(&self.store, &req.input, self.locks).map(S3Response::new)
    }

    async fn upload_part(
        &self,
        req: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let fate = self.begin("UploadPart").await?;
        let mut input = req.input;
        let blob = fate.received(Blob::read(input.body.take(), input.content_length).await?);
        self.stats.took(blob.size);
        multipart::add(&self.store, &input, blob).map(S3Response::new)
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        self.begin("CompleteMultipartUpload").await?;
        multipart::complete(&self.store, &req.input).map(S3Response::new)
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.begin("AbortMultipartUpload").await?;
        multipart::abort(&self.store, &req.input).map(S3Response::new)
    }

    async fn put_object_retention(
        &self,
        req: S3Request<PutObjectRetentionInput>,
    ) -> S3Result<S3Response<PutObjectRetentionOutput>> {
        self.begin("PutObjectRetention").await?;
        let input = req.input;
        let lock = input.retention.as_ref().and_then(|r| {
            Lock::asked(r.mode.as_ref().map(|m| m.as_str()), r.retain_until_date.as_ref())
        });
        check_asked(lock.as_ref(), self.locks, true)?;
        self.store.with(&input.bucket, |bucket| {
            let object = bucket.objects.get_mut(&input.key);
            let object = object.ok_or_else(|| s3_error!(NoSuchKey))?;
            Arc::make_mut(object).properties.lock = lock;
            Ok(S3Response::new(PutObjectRetentionOutput::default()))
        })
    }

    async fn list_parts(
        &self,
        req: S3Request<ListPartsInput>,
    ) -> S3Result<S3Response<ListPartsOutput>> {
        self.begin("ListParts").await?;
        multipart::parts(&self.store, &req.input).map(S3Response::new)
    }

    async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        self.begin("ListMultipartUploads").await?;
        multipart::uploads(&self.store, &req.input).map(S3Response::new)
    }
}

impl Backend {
    fn retag(&self, bucket: &str, key: &str, tags: Vec<(String, String)>) -> S3Result<()> {
        self.store.with(bucket, |bucket| {
            let object = bucket.objects.get(key);
            let object =
                object.ok_or_else(|| s3_error!(NoSuchKey, "The specified key does not exist"))?;
            bucket.put(key, Arc::new(Object { tags, ..Object::clone(object) }))
        })
    }
}
