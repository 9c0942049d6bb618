//! S3's operations on the store.

use super::faults::{Act, Faults};
use super::listing::{self, PAGE, Query};
use super::multipart;
use super::stats::Stats;
use super::store::{Blob, Bucket, Object, Properties, Store};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use rustix::process::{Signal, getpid, kill_process};
use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use std::sync::Arc;

/// S3 leaves the type of an object stored without one at this.
const UNTYPED: &str = "binary/octet-stream";

pub(super) struct Backend {
    pub(super) store: Arc<Store>,
    pub(super) stats: Arc<Stats>,
    pub(super) faults: Arc<Faults>,
}

/// The properties that three of S3's requests carry in fields of the same names.
macro_rules! properties {
    ($input:expr) => {
        $crate::s3::store::Properties {
            content_type: $input.content_type.clone(),
            content_encoding: $input.content_encoding.clone(),
            content_disposition: $input.content_disposition.clone(),
            content_language: $input.content_language.clone(),
            cache_control: $input.cache_control.clone(),
            expires: $input.expires.clone(),
            redirect: $input.website_redirect_location.clone(),
            metadata: $input.metadata.clone().unwrap_or_default(),
        }
    };
}
pub(super) use properties;

/// Fills the fields in which two of S3's answers describe an object.
macro_rules! describe {
    ($answer:ident, $object:expr) => {{
        let Object { etag, modified, properties, .. } = $object;
        $answer {
            accept_ranges: Some("bytes".to_owned()),
            cache_control: properties.cache_control.clone(),
            content_disposition: properties.content_disposition.clone(),
            content_encoding: properties.content_encoding.clone(),
            content_language: properties.content_language.clone(),
            content_type: Some(properties.content_type.clone().unwrap_or(UNTYPED.to_owned())),
            e_tag: Some(ETag::Strong(etag.clone())),
            expires: properties.expires.clone(),
            last_modified: Some((*modified).into()),
            metadata: Some(properties.metadata.clone()),
            website_redirect_location: properties.redirect.clone(),
            ..Default::default()
        }
    }};
}

fn signed(length: u64) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// The tags of an `x-amz-tagging` header.
pub(super) fn tags_of(header: Option<&str>) -> Vec<(String, String)> {
    url::form_urlencoded::parse(header.unwrap_or_default().as_bytes())
        .map(|(k, v)| (k.into_owned(), v.into_owned()))
        .collect()
}

pub(super) fn check_md5(blob: &Blob, expected: Option<&str>) -> S3Result<()> {
    match expected {
        Some(md5) if md5 != STANDARD.encode(blob.md5) => Err(s3_error!(
            BadDigest,
            "The Content-MD5 you specified did not match what we received"
        )),
        _ => Ok(()),
    }
}

fn check_conditions(
    there: Option<&Arc<Object>>,
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<()> {
    let fits = |condition: &ETagCondition| match (condition, there) {
        (ETagCondition::Any, there) => there.is_some(),
        (ETagCondition::ETag(tag), Some(there)) => tag.value() == there.etag,
        (ETagCondition::ETag(_), None) => false,
    };
    if if_match.is_some_and(|c| !fits(c)) || if_none_match.is_some_and(fits) {
        return Err(s3_error!(PreconditionFailed, "At least one precondition did not hold"));
    }
    Ok(())
}

fn entries(
    objects: &[(&str, &Arc<Object>)],
    name: &dyn Fn(&str) -> String,
) -> Vec<s3s::dto::Object> {
    let entry = |(key, object): &(&str, &Arc<Object>)| s3s::dto::Object {
        key: Some(name(key)),
        e_tag: Some(ETag::Strong(object.etag.clone())),
        last_modified: Some(object.modified.into()),
        size: Some(signed(object.blob.size)),
        storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
        ..Default::default()
    };
    objects.iter().map(entry).collect()
}

fn folded(prefixes: &[&str], name: &dyn Fn(&str) -> String) -> Vec<CommonPrefix> {
    prefixes.iter().map(|p| CommonPrefix { prefix: Some(name(p)) }).collect()
}

/// How names are written in an answer: as they are, or as `encoding-type=url` asks.
fn naming(encoding: Option<&EncodingType>) -> fn(&str) -> String {
    if encoding.is_some_and(|e| e.as_str() == EncodingType::URL) {
        listing::url_encode
    } else {
        str::to_owned
    }
}

fn wanted(max_keys: Option<i32>) -> S3Result<usize> {
    let max = max_keys.map_or(Ok(PAGE), usize::try_from);
    max.map_err(|_| s3_error!(InvalidArgument, "max-keys is negative"))
}

fn decode_token(token: &str) -> S3Result<String> {
    let bytes = STANDARD.decode(token).ok();
    bytes
        .and_then(|b| String::from_utf8(b).ok())
        .ok_or_else(|| s3_error!(InvalidArgument, "The continuation token provided is incorrect"))
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

    /// Counts a request, and shows the fault that is due; true where the answer is to be cut.
    async fn begin(&self, operation: &'static str) -> S3Result<bool> {
        self.stats.count(operation);
        match self.faults.next(operation) {
            None => Ok(false),
            Some(Act::Slow(time)) => {
                tokio::time::sleep(time).await;
                Ok(false)
            }
            Some(Act::Cut) if operation == "GetObject" => Ok(true),
            Some(Act::Cut | Act::Unavailable) => {
                Err(s3_error!(SlowDown, "Please reduce your request rate"))
            }
            Some(Act::Die) => {
                let _ = kill_process(getpid(), Signal::KILL);
                Err(s3_error!(InternalError))
            }
        }
    }

    /// The body of an answer; cut, it breaks off after its first half.
    fn stream(&self, mut pieces: Vec<Bytes>, is_cut: bool) -> StreamingBlob {
        let stats = self.stats.clone();
        if is_cut {
            pieces.truncate(pieces.len().div_ceil(2));
            if let Some(last) = pieces.last_mut() {
                last.truncate(last.len() / 2);
            }
        }
        let broken = is_cut.then(|| Err(std::io::Error::other("cut, as was asked for")));
        let pieces = pieces.into_iter().map(move |piece| {
            stats.gave(piece.len() as u64);
            Ok(piece)
        });
        StreamingBlob::wrap(futures::stream::iter(pieces.chain(broken)))
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
        let mut buckets = self.store.buckets();
        if buckets.contains_key(&name) {
            return Err(s3_error!(BucketAlreadyOwnedByYou, "The bucket exists and is yours"));
        }
        buckets.insert(name.clone(), Bucket::new());
        let location = Some(format!("/{name}"));
        Ok(S3Response::new(CreateBucketOutput { location }))
    }

    async fn delete_bucket(
        &self,
        req: S3Request<DeleteBucketInput>,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        self.begin("DeleteBucket").await?;
        let name = req.input.bucket;
        self.store.with(&name, |bucket| match bucket.objects.is_empty() {
            true => Ok(()),
            false => Err(s3_error!(BucketNotEmpty, "The bucket you tried to delete is not empty")),
        })?;
        self.store.buckets().remove(&name);
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
        let input = req.input;
        let query = Query {
            prefix: input.prefix.as_deref().unwrap_or_default(),
            delimiter: input.delimiter.as_deref().unwrap_or_default(),
            after: input.marker.as_deref().unwrap_or_default(),
            max: wanted(input.max_keys)?,
        };
        let name = naming(input.encoding_type.as_ref());
        let output = self.store.with(&input.bucket, |bucket| {
            let page = listing::page(&bucket.objects, query);
            Ok(ListObjectsOutput {
                name: Some(input.bucket.clone()),
                prefix: Some(name(query.prefix)),
                delimiter: input.delimiter.as_deref().map(name),
                marker: Some(name(query.after)),
                max_keys: i32::try_from(query.max).ok(),
                is_truncated: Some(page.next.is_some()),
                // S3 gives it only with a delimiter; without one the last key is the marker.
                next_marker: page.next.filter(|_| !query.delimiter.is_empty()).map(name),
                contents: Some(entries(&page.objects, &name)),
                common_prefixes: Some(folded(&page.prefixes, &name)),
                encoding_type: input.encoding_type.clone(),
                ..Default::default()
            })
        })?;
        Ok(S3Response::new(output))
    }

    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.begin("ListObjectsV2").await?;
        let input = req.input;
        let token = input.continuation_token.as_deref().map(decode_token).transpose()?;
        let query = Query {
            prefix: input.prefix.as_deref().unwrap_or_default(),
            delimiter: input.delimiter.as_deref().unwrap_or_default(),
            after: token.as_deref().or(input.start_after.as_deref()).unwrap_or_default(),
            max: wanted(input.max_keys)?,
        };
        let name = naming(input.encoding_type.as_ref());
        let output = self.store.with(&input.bucket, |bucket| {
            let page = listing::page(&bucket.objects, query);
            Ok(ListObjectsV2Output {
                name: Some(input.bucket.clone()),
                prefix: Some(name(query.prefix)),
                delimiter: input.delimiter.as_deref().map(name),
                start_after: input.start_after.as_deref().map(name),
                max_keys: i32::try_from(query.max.min(PAGE)).ok(),
                key_count: i32::try_from(page.objects.len() + page.prefixes.len()).ok(),
                is_truncated: Some(page.next.is_some()),
                continuation_token: input.continuation_token.clone(),
                next_continuation_token: page.next.map(|key| STANDARD.encode(key)),
                contents: Some(entries(&page.objects, &name)),
                common_prefixes: Some(folded(&page.prefixes, &name)),
                encoding_type: input.encoding_type.clone(),
                ..Default::default()
            })
        })?;
        Ok(S3Response::new(output))
    }

    async fn put_object(
        &self,
        req: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        self.begin("PutObject").await?;
        let mut input = req.input;
        self.store.with(&input.bucket, |_| Ok(()))?;
        let blob = Blob::read(input.body.take(), input.content_length).await?;
        self.stats.took(blob.size);
        check_md5(&blob, input.content_md5.as_deref())?;
        let object = Object::new(blob, properties!(input), tags_of(input.tagging.as_deref()));
        let etag = object.etag.clone();
        self.store.with(&input.bucket, |bucket| {
            let there = bucket.objects.get(&input.key);
            check_conditions(there, input.if_match.as_ref(), input.if_none_match.as_ref())?;
            bucket.objects.insert(input.key.clone(), Arc::new(object));
            Ok(())
        })?;
        let e_tag = Some(ETag::Strong(etag));
        Ok(S3Response::new(PutObjectOutput { e_tag, ..Default::default() }))
    }

    async fn get_object(
        &self,
        req: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let is_cut = self.begin("GetObject").await?;
        let input = req.input;
        let object = self.store.object(&input.bucket, &input.key)?;
        check_conditions(Some(&object), input.if_match.as_ref(), None)?;
        let size = object.blob.size;
        let range = match input.range {
            None => 0..size,
            Some(range) => range.check(size)?,
        };
        let body = Some(self.stream(object.blob.slice(range.clone()), is_cut));
        let content_range =
            input.range.map(|_| format!("bytes {}-{}/{size}", range.start, range.end - 1));
        let tag_count = i32::try_from(object.tags.len()).ok().filter(|n| *n > 0);
        let described: GetObjectOutput = describe!(GetObjectOutput, &*object);
        let content_length = Some(signed(range.end - range.start));
        Ok(S3Response::new(GetObjectOutput {
            body,
            content_length,
            content_range,
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
        self.store.with(&req.input.bucket, |bucket| {
            bucket.objects.insert(req.input.key.clone(), Arc::new(object));
            Ok(())
        })?;
        let copy_object_result = Some(result);
        Ok(S3Response::new(CopyObjectOutput { copy_object_result, ..Default::default() }))
    }

    async fn delete_object(
        &self,
        req: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.begin("DeleteObject").await?;
        self.store.with(&req.input.bucket, |bucket| {
            bucket.objects.remove(&req.input.key);
            Ok(())
        })?;
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
                bucket.objects.remove(&object.key);
                DeletedObject { key: Some(object.key), ..Default::default() }
            };
            Ok(objects.into_iter().map(remove).collect::<Vec<_>>())
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
        multipart::create(&self.store, &req.input).map(S3Response::new)
    }

    async fn upload_part(
        &self,
        req: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        self.begin("UploadPart").await?;
        let mut input = req.input;
        let blob = Blob::read(input.body.take(), input.content_length).await?;
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
            let object = bucket.objects.get_mut(key);
            let object =
                object.ok_or_else(|| s3_error!(NoSuchKey, "The specified key does not exist"))?;
            Arc::make_mut(object).tags = tags;
            Ok(())
        })
    }
}
