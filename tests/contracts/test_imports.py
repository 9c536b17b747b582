"""The gateway's process never loads torch, models or workers: asked of a process that has served."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FORBIDDEN = {"torch", "transformers", "safetensors", "numpy", "PIL", "models", "workers", "diffusers"}

PROGRAM = """
import asyncio, json, sys
import httpx
import app.cli.processes
from app.core.config import Settings
from app.core.db.migrate import migrate
from app.main import create_app

async def serve_once(settings):
    await migrate(settings.database.url)
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as http:
            for path in ("/readyz", "/metrics", "/openapi.json", "/playground/", "/v1/credits"):
                await http.get(path)
            await http.post("/v1/flux-nano", json={"prompt": "a"})

asyncio.run(serve_once(Settings(data_dir=sys.argv[1])))
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def test_a_gateway_that_has_served_has_not_loaded_torch(tmp_path: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert child.returncode == 0, child.stderr
    loaded = set(json.loads(child.stdout.splitlines()[-1]))
    assert {"app", "fastapi", "sqlalchemy"} <= loaded
    assert not loaded & FORBIDDEN


def test_the_gateway_starts_where_torch_cannot_be_loaded(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')")
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from app.main import create_app, serve"
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert child.returncode == 0, child.stderr
