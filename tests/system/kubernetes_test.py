"""deploy/kubernetes fits the programs and the API: flags, ports, services' names, references, labels, schemas. What only a
cluster can show is not tested."""
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import yaml
from services import run

PROJECT = pathlib.Path(__file__).parent.parent.parent
FOLDER = PROJECT / "deploy/kubernetes"
KUSTOMIZATIONS = sorted(FOLDER.rglob("kustomization.yaml"))
OVERLAYS = sorted(path.parent for path in KUSTOMIZATIONS if path.parent.parent.name == "overlays")
SERVICES = {"tokenizer": ("llama.v1.TokenizerService", 50051), "model": ("llama.v1.ModelService", 50052),
            "gateway": ("llama.v1.GatewayService", 50050)}
# npm's, with the schemas and types of Kubernetes' API and of KEDA's.
SCHEMAS = ["kubernetes-models@5.1.0", "@kubernetes-models/keda@2.0.0", "typescript@7.0.2"]


def documents(path):
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def objects_of(folder):
    """The objects of one folder's files, beside those of the folders that it builds on."""
    for name in yaml.safe_load((folder / "kustomization.yaml").read_text()).get("resources", []):
        if (folder / name).is_file():
            yield from documents(folder / name)


def render(folder):
    """What kustomize makes of a folder."""
    for command in (["kustomize", "build"], ["kubectl", "kustomize"]):
        if shutil.which(command[0]):
            done = subprocess.run([*command, folder], capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr
            return [document for document in yaml.safe_load_all(done.stdout) if document]
    raise unittest.SkipTest("there is neither kustomize nor kubectl")


def container_of(deployment):
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return container


class FilesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.base = list(objects_of(FOLDER / "base"))
        cls.deployments = {o["metadata"]["name"]: o for o in cls.base if o["kind"] == "Deployment"}

    def find(self, kind, name):
        (found,) = [o for o in self.base if (o["kind"], o["metadata"]["name"]) == (kind, name)]
        return found

    def test_every_file_is_used_and_every_reference_exists(self):
        used = set()
        for path in KUSTOMIZATIONS:
            kustomization = yaml.safe_load(path.read_text())
            names = [*kustomization.get("resources", []), *kustomization.get("components", []),
                     *(patch["path"] for patch in kustomization.get("patches", []) if "path" in patch)]
            for name in names:
                found = (path.parent / name).resolve()
                self.assertTrue(found.exists(), f"{path}: {name}")
                used.add(found)
        for path in FOLDER.rglob("*.yaml"):
            self.assertTrue(path in used or path.name == "kustomization.yaml", f"{path} is not used")

    def test_flags_are_those_of_the_programs(self):
        self.assertEqual(set(self.deployments), set(SERVICES))
        for name in SERVICES:
            known = set(re.findall(r"^  --(\w+)", run(f"lnb-{name}", "--help").stdout, re.MULTILINE))
            flags = re.findall(r"--(\w+)=", json.dumps(container_of(self.deployments[name])["args"]))
            if name == "model":  # Patches of overlays are for this program; --model_dir is the tokenizer's, too.
                flags += re.findall(r"value: --(\w+)=", "".join(p.read_text() for p in FOLDER.glob("overlays/*/*.yaml")))
            self.assertTrue(flags)
            self.assertEqual(set(flags) - known, set(), name)

    def test_ports_and_names_of_services_are_those_of_the_programs(self):
        for name, (service, port) in SERVICES.items():
            self.assertIn(f"127.0.0.1:{port}", run(f"lnb-{name}", "--help").stdout)
            container = container_of(self.deployments[name])
            ports = {p["name"]: p["containerPort"] for p in container["ports"]}
            self.assertEqual(ports["grpc"], port)
            self.assertIn(f"--metrics_listen=0.0.0.0:{ports['metrics']}", container["args"])
            self.assertEqual(container["readinessProbe"]["grpc"], {"port": port, "service": service})
            # Liveness is the process's: a service that waits for another, or drains, must not be killed for it.
            self.assertEqual(container["livenessProbe"]["grpc"], {"port": port})
            self.assertIn("startupProbe", container)
            exposed = self.find("Service", name)["spec"]
            self.assertEqual([p["port"] for p in exposed["ports"]], [port])
            self.assertEqual(exposed["selector"], {"app.kubernetes.io/component": name})
            self.assertEqual(exposed.get("clusterIP"), None if name == "gateway" else "None")
            self.assertTrue(container["image"].startswith(f"llama-nuts-and-bolts/{name}:"))
            image = (PROJECT / "deploy/Dockerfile").read_text().partition(f" AS {name}\n")[2].partition("FROM ")[0]
            self.assertIn(f'"--listen=0.0.0.0:{port}"', image)  # What the manifest leaves to the image.
            for folder in re.findall(r"--model_dir=(\S+)", " ".join(container["args"])):
                self.assertIn(f"{folder}/", image)
        args = container_of(self.deployments["gateway"])["args"]
        for name in ("tokenizer", "model"):
            self.assertIn(f"--{name}=dns:///{name}:{SERVICES[name][1]}", args)

    def test_the_images_version_is_the_projects(self):
        version = run("lnb-model", "--version").stdout.split()[-1]
        for deployment in self.deployments.values():
            self.assertTrue(container_of(deployment)["image"].endswith(f":{version}"))

    def test_pods_have_no_rights(self):
        for deployment in self.deployments.values():
            pod = deployment["spec"]["template"]["spec"]
            self.assertIs(pod["automountServiceAccountToken"], False)
            self.assertIs(pod["securityContext"]["runAsNonRoot"], True)
            self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
            self.assertEqual(container_of(deployment)["securityContext"], {
                "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}})
            self.assertGreater(pod["terminationGracePeriodSeconds"], 30)  # --drain_timeout.
            self.assertIn("memory", container_of(deployment)["resources"]["limits"])

    def test_policies_allow_the_paths_that_the_services_need_and_no_others(self):
        allowed = set()
        for policy in (o for o in self.base if o["kind"] == "NetworkPolicy"):
            labels = policy["spec"]["podSelector"]["matchLabels"]
            to = labels.get("app.kubernetes.io/component", "all")
            for rule in policy["spec"].get("ingress", []):
                self.assertTrue(rule["from"])
                allowed.update((policy["metadata"]["name"], to, port["port"]) for port in rule["ports"])
        self.assertEqual(allowed, {("clients-to-gateway", "gateway", 50050), ("gateway-to-tokenizer", "tokenizer", 50051),
                                   ("gateway-to-model", "model", 50052), ("prometheus-to-metrics", "all", 9464)})
        deny = self.find("NetworkPolicy", "deny-all")["spec"]
        self.assertEqual(deny["policyTypes"], ["Ingress", "Egress"])

    def test_replicas_follow_a_metric_that_the_model_has(self):
        metric = "lnb_model_waiting_prefill_tokens"
        (keda,) = objects_of(FOLDER / "components/keda")
        self.assertIn(f"({metric}{{", keda["spec"]["triggers"][0]["metadata"]["query"])
        (hpa,) = objects_of(FOLDER / "components/hpa")
        self.assertEqual([m["pods"]["metric"]["name"] for m in hpa["spec"]["metrics"]], [metric])
        self.assertTrue(any(f'"{metric}"' in p.read_text() for p in (PROJECT / "services/model").glob("*.cc")))
        for scaler in (keda, hpa):
            self.assertEqual(scaler["spec"]["scaleTargetRef"]["name"], "model")


class RenderedTest(unittest.TestCase):
    def test_overlays_render_to_objects_that_fit_together(self):
        for overlay in OVERLAYS:
            objects = render(overlay)
            (namespace,) = [o["metadata"]["name"] for o in objects if o["kind"] == "Namespace"]
            deployments = [o for o in objects if o["kind"] == "Deployment"]
            self.assertEqual({d["metadata"]["name"] for d in deployments}, set(SERVICES))
            claims = {o["metadata"]["name"] for o in objects if o["kind"] == "PersistentVolumeClaim"}
            for made in objects:
                if made["kind"] != "Namespace":
                    self.assertEqual(made["metadata"]["namespace"], namespace, made["metadata"]["name"])
            for deployment in deployments:
                template = deployment["spec"]["template"]
                self.assertEqual(template["metadata"]["labels"]["app.kubernetes.io/name"], "llama-nuts-and-bolts")
                self.assertLessEqual(deployment["spec"]["selector"]["matchLabels"].items(),
                                     template["metadata"]["labels"].items())
                volumes = {v["name"]: v for v in template["spec"].get("volumes", [])}
                for volume in volumes.values():
                    self.assertIn(volume["persistentVolumeClaim"]["claimName"], claims)
                for mount in container_of(deployment).get("volumeMounts", []):
                    self.assertIn(mount["name"], volumes)
                    self.assertIs(mount["readOnly"], True)
            directories = {arg for d in deployments for arg in container_of(d).get("args") if "--model_dir" in arg}
            self.assertEqual(len(directories), 1)  # Tokenizer and model belong together.
            scaled = [o for o in objects if o["kind"] in ("ScaledObject", "HorizontalPodAutoscaler")]
            (model,) = [d for d in deployments if d["metadata"]["name"] == "model"]
            self.assertEqual("replicas" in model["spec"], not scaled)  # Else each apply undoes the scaling.
            for scaler in scaled:
                if scaler["kind"] == "ScaledObject":
                    self.assertIn(f'namespace="{namespace}"', scaler["spec"]["triggers"][0]["metadata"]["query"])

    def test_objects_fit_the_schemas_of_the_api(self):
        if not shutil.which("npm"):
            self.skipTest("there is no npm, which has the schemas")
        objects = [o for overlay in OVERLAYS for o in render(overlay)] + list(objects_of(FOLDER / "components/hpa"))
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *SCHEMAS], cwd=folder,
                                  capture_output=True, text=True, timeout=240)
            if done.returncode != 0:
                self.skipTest(f"npm does not get the schemas: {done.stderr[-300:]}")

            shutil.copy(pathlib.Path(__file__).with_name("kubernetes_schemas.mjs"), folder)

            def check(checked):
                return subprocess.run(["node", "kubernetes_schemas.mjs"], cwd=folder, input=json.dumps(checked),
                                      capture_output=True, text=True, timeout=60)
            done = check(objects)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            # A check that finds nothing would say the same.
            (broken, *_) = json.loads(json.dumps([o for o in objects if o["kind"] == "Deployment"]))
            container_of(broken)["livenessProbe"]["grpc"]["port"] = "grpc"
            container_of(broken)["securityContext"]["readOnlyFilesystem"] = True
            said = check([broken]).stdout
            self.assertIn("livenessProbe/grpc/port must be integer", said)
            self.assertIn("'\"readOnlyFilesystem\"' does not exist", said)


if __name__ == "__main__":
    unittest.main()
