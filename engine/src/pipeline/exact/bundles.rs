//! Bundles that intents may name: saved before the first intent does, brought up again where one is recovered.
//!
//! Invariant: what is brought up under a name has the hash of that name.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use logmon_dsl::program::{self, Mode, Options, Reader};
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    producer::{FutureProducer, FutureRecord},
    types::RDKafkaErrorCode,
};
use serde::{Deserialize, Serialize};

use crate::{
    config,
    delivery::{
        failpoint::{self, Place},
        intent::BundleId,
    },
    pipeline::{
        bundle::{BindError, Bundle, World},
        schema::sink_settings,
    },
};

/// Rules of more than this, compressed, are not saved: a record of a topic holds no more.
const BYTES_MAX: usize = 1 << 20;

/// The most that a saved bundle may become when it is unpacked.
const UNPACKED_MAX: u64 = 64 << 20;

/// How long the topic of bundles may take to answer.
const ASK: Duration = Duration::from_secs(15);

/// The files of a bundle, the entry first.
#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    files: Vec<(PathBuf, String)>,
}

impl World {
    /// Saves the files of a bundle, on disk and in the topic of bundles where there is one. Returns when both have it.
    pub fn save_bundle(
        &self,
        hash: &blake3::Hash,
        files: &[(PathBuf, blake3::Hash)],
    ) -> Result<(), BindError> {
        failpoint::pass(Place::BundleSaving);
        let id = id_of(hash);
        let path = self.bundle_path(id);
        if path.exists() && self.config.engine.bundle_topic.is_none() {
            return Ok(());
        }
        let fails = |what: &dyn std::fmt::Display| {
            BindError::World(format!(
                "the rules cannot be saved for a recovery: {what}: see `state_dir` and `bundle_topic` in [engine]"
            ))
        };
        // What was saved once is what its hash says.
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(_) => pack(files).map_err(|error| fails(&error))?,
        };
        if bytes.len() > BYTES_MAX {
            return Err(fails(&format!("{} bytes are more than {BYTES_MAX}", bytes.len())));
        }
        if !path.exists() {
            write(&path, &bytes).map_err(|error| fails(&format!("{}: {error}", path.display())))?;
        }
        if let Some(topic) = &self.config.engine.bundle_topic {
            self.publish(topic, id, &bytes)
                .map_err(|error| fails(&format!("topic {topic}: {error}")))?;
        }
        Ok(())
    }

    /// Which saved bundle is meant by a hash or by how it begins, as logs and dead letters name it.
    pub fn known_bundle(&self, hash: &str) -> Result<BundleId, String> {
        if let Some(id) = BundleId::from_hex(hash) {
            return Ok(id);
        }
        let folder = self.config.engine.state_dir.join("bundles");
        let names = fs::read_dir(&folder).into_iter().flatten().flatten();
        let mut found: Vec<String> = names
            .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".zst").map(str::to_owned))
            .filter(|name| !hash.is_empty() && name.starts_with(hash))
            .collect();
        found.sort();
        match &found[..] {
            [one] => {
                BundleId::from_hex(one).ok_or_else(|| format!("{one}.zst is no bundle's name"))
            }
            [] => Err(format!(
                "no bundle in {} begins with `{hash}`; of one that is only in bundle_topic the whole hash must be given",
                folder.display()
            )),
            several => Err(format!("`{hash}` may be any of {}", several.join(", "))),
        }
    }

    /// Brings up a saved bundle; `None`, with a line in the log, where it is nowhere or does not run here.
    pub fn saved_bundle(
        self: &std::sync::Arc<Self>,
        id: BundleId,
        current: &Bundle,
    ) -> Option<Bundle> {
        let fails = |what: &dyn std::fmt::Display| {
            tracing::error!(bundle = %id, "an earlier bundle cannot be brought up: {what}");
        };
        let local = fs::read(self.bundle_path(id)).ok();
        let bytes = local.or_else(|| {
            let topic = self.config.engine.bundle_topic.as_ref()?;
            self.fetch(topic, id).inspect_err(|error| fails(error)).ok().flatten()
        });
        let Some(bytes) = bytes else {
            fails(&"it is neither in state_dir nor in bundle_topic");
            return None;
        };
        let path = self.bundle_path(id);
        if !path.exists()
            && let Err(error) = write(&path, &bytes)
        {
            fails(&format!("{}: {error}", path.display()));
        }
        let saved = unpack(&bytes).inspect_err(|error| fails(error)).ok()?;
        let entry = saved.files.first().map(|(path, _)| path.clone())?;
        let reader = Texts(saved.files.into_iter().collect());
        let options = Options { sinks: sink_settings(&self.config), ..Options::default() };
        let program = program::compile_with(&entry, &reader, Mode::Run, &options).program;
        let Some(program) = program.filter(|program| id_of(&program.hash) == id) else {
            fails(&"its files do not make the same bundle again");
            return None;
        };
        match self.bind(program, Some(current)) {
            Ok(bundle) => {
                tracing::info!(bundle = bundle.short(), "brought up for a range under way");
                Some(bundle)
            }
            Err(errors) => {
                for error in &errors {
                    fails(error);
                }
                None
            }
        }
    }

    fn bundle_path(&self, id: BundleId) -> PathBuf {
        self.config.engine.state_dir.join("bundles").join(format!("{id}.zst"))
    }

    /// The connection of the first source: the topic lives on its cluster.
    fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        if let Some(source) = self.config.sources.values().next() {
            for (key, value) in source.connection.properties() {
                client.set(key, value.expose());
            }
        }
        client
    }

    fn publish(&self, topic: &str, id: BundleId, bytes: &[u8]) -> Result<(), KafkaError> {
        let client = self.client();
        let admin: AdminClient<DefaultClientContext> = client.create()?;
        let options = AdminOptions::new().request_timeout(Some(ASK));
        let wanted =
            NewTopic::new(topic, 1, TopicReplication::Fixed(-1)).set("cleanup.policy", "compact");
        self.runtime.block_on(async {
            for made in admin.create_topics([&wanted], &options).await? {
                match made {
                    Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                    // Who may not make topics may still write into one that is there.
                    Err((_, code)) => {
                        tracing::info!(topic, %code, "the topic of bundles was not made");
                    }
                }
            }
            let mut client = client.clone();
            client.set("acks", "all").set("message.timeout.ms", ASK.as_millis().to_string());
            let producer: FutureProducer = client.create()?;
            let key = id.to_string();
            let record = FutureRecord::to(topic).key(&key).payload(bytes);
            producer.send(record, ASK).await.map(drop).map_err(|(error, _)| error)
        })
    }

    fn fetch(&self, topic: &str, id: BundleId) -> Result<Option<Vec<u8>>, KafkaError> {
        let mut client = self.client();
        client.set("group.id", format!("logmon-bundles-{:016x}", self.incarnation));
        client.set("enable.auto.commit", "false").set("auto.offset.reset", "earliest");
        let consumer: BaseConsumer = client.create()?;
        let (low, high) = consumer.fetch_watermarks(topic, 0, ASK)?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, 0, Offset::Offset(low))?;
        consumer.assign(&list)?;
        let (key, deadline) = (id.to_string(), Instant::now() + ASK);
        let mut found = None;
        let mut next = low;
        while next < high && Instant::now() < deadline {
            let Some(record) = consumer.poll(Duration::from_millis(200)) else { continue };
            let record = record?;
            next = record.offset() + 1;
            if record.key() == Some(key.as_bytes()) {
                found = record.payload().map(<[u8]>::to_vec);
            }
        }
        Ok(found)
    }
}

fn id_of(hash: &blake3::Hash) -> BundleId {
    BundleId::from_hex(&hash.to_hex()).expect("a hash has 64 hexadecimal digits")
}

fn pack(files: &[(PathBuf, blake3::Hash)]) -> io::Result<Vec<u8>> {
    let mut saved = Saved { files: Vec::with_capacity(files.len()) };
    for (path, hash) in files {
        let text = fs::read_to_string(path)?;
        if blake3::hash(text.as_bytes()) != *hash {
            return Err(io::Error::other(format!("{} changed meanwhile", path.display())));
        }
        saved.files.push((path.clone(), text));
    }
    zstd::encode_all(&*serde_json::to_vec(&saved)?, 6)
}

fn unpack(bytes: &[u8]) -> io::Result<Saved> {
    let mut json = Vec::new();
    zstd::Decoder::new(bytes)?.take(UNPACKED_MAX).read_to_end(&mut json)?;
    Ok(serde_json::from_slice(&json)?)
}

/// Writes a file that is there whole or not at all, also after a power cut.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or_else(|| io::Error::other("no folder"))?;
    fs::create_dir_all(folder)?;
    let fresh = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = File::create(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    File::open(folder)?.sync_all()
}

/// The files of a saved bundle, by the paths under which they were read.
struct Texts(BTreeMap<PathBuf, String>);

impl Reader for Texts {
    fn read(&self, path: &Path) -> Result<String, String> {
        self.0.get(path).cloned().ok_or_else(|| "it was not saved with the bundle".to_owned())
    }

    fn lock(&self, entry: &Path) -> Option<(PathBuf, String)> {
        program::lock_beside(self, entry)
    }

    fn secret(&self, name: &str) -> Result<String, String> {
        config::secret(name)
    }
}
