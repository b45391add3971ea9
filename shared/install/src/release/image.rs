//! An image as an OCI archive (OCI image layout 1.0: `index.json` and `blobs/sha256/`).

use super::{Files, untar};
use crate::names::hex;
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// One image of one architecture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    /// The digest of its manifest, by which it is named.
    pub(crate) digest: String,
    /// The manifest, byte for byte.
    pub(crate) manifest: String,
    /// The manifest's type.
    pub(crate) media_type: String,
    /// Its configuration and layers, by digest, in the manifest's order.
    pub(crate) blobs: Vec<(String, Vec<u8>)>,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
}

impl Image {
    /// Reads the archive and compares every part with its digest.
    pub(super) fn read(archive: &[u8]) -> Result<Self, String> {
        let mut files = untar(archive, &|_| true).map_err(|error| format!("no tar: {error}"))?;
        let index = files.get("index.json").ok_or("it has no index.json: it is no OCI archive")?;
        let index = serde_json::from_slice::<Index>(index)
            .map_err(|error| format!("index.json: {error}"))?;
        let [descriptor] = &index.manifests[..] else {
            return Err(format!("it holds {} images and should hold one", index.manifests.len()));
        };
        let bytes = take(&mut files, &descriptor.digest)?;
        let manifest = serde_json::from_slice::<Manifest>(&bytes)
            .map_err(|error| format!("manifest {}: {error}", descriptor.digest))?;
        let mut blobs = Vec::new();
        for part in std::iter::once(&manifest.config).chain(&manifest.layers) {
            blobs.push((part.digest.clone(), take(&mut files, &part.digest)?));
        }
        let manifest = String::from_utf8(bytes).map_err(|error| error.to_string())?;
        let (digest, media_type) = (descriptor.digest.clone(), descriptor.media_type.clone());
        Ok(Self { digest, manifest, media_type, blobs })
    }
}

/// A blob, which must be what its digest says.
fn take(files: &mut Files, digest: &str) -> Result<Vec<u8>, String> {
    let path = format!("blobs/{}", digest.replace(':', "/"));
    let content = files.remove(&path).ok_or_else(|| format!("it has no {path}"))?;
    let found = format!("sha256:{}", hex(&Sha256::digest(&content)));
    if found == digest { Ok(content) } else { Err(format!("{path} is damaged")) }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::tests::tar;
    use super::*;
    use serde_json::json;

    fn add(files: &mut Files, content: &[u8]) -> String {
        let sum = hex(&Sha256::digest(content));
        files.insert(format!("blobs/sha256/{sum}"), content.to_vec());
        format!("sha256:{sum}")
    }

    fn files(layer: &str) -> Files {
        let mut files = Files::new();
        let (config, layer) = (add(&mut files, b"{}"), add(&mut files, layer.as_bytes()));
        let manifest = json!({ "config": { "digest": config }, "layers": [{ "digest": layer }] });
        let manifest = add(&mut files, manifest.to_string().as_bytes());
        let index = json!({ "manifests": [{ "digest": manifest, "mediaType": "application/x" }] });
        files.insert("index.json".to_owned(), index.to_string().into_bytes());
        files
    }

    pub(in super::super) fn archive(layer: &str) -> Vec<u8> {
        tar(&files(layer))
    }

    #[test]
    fn an_image_is_its_manifest_and_its_blobs() {
        let image = Image::read(&archive("layer")).unwrap();
        assert_eq!(image.media_type, "application/x");
        assert_eq!(
            image.blobs.iter().map(|(_, blob)| &blob[..]).collect::<Vec<_>>(),
            [&b"{}"[..], b"layer"]
        );
        assert_eq!(image.digest, format!("sha256:{}", hex(&Sha256::digest(&image.manifest))));
    }

    #[test]
    fn damage_is_told() {
        let mut damaged = files("layer");
        let layer = format!("blobs/sha256/{}", hex(&Sha256::digest(b"layer")));
        damaged.insert(layer, b"other".to_vec());
        assert!(Image::read(&tar(&damaged)).unwrap_err().ends_with("is damaged"));
        assert!(Image::read(&tar(&Files::new())).unwrap_err().contains("no OCI archive"));
    }
}
