// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Xen Orchestra's client with all of its objects, kept by events: node client.mjs XEN-API URL VM UUID; user and password from the environment.
const [library, url, name, uuid] = process.argv.slice(2)
const { createClient } = await import(library)

const auth = { user: process.env.LAB_USERNAME, password: process.env.LAB_PASSWORD }
const xapi = createClient({ url, auth, watchEvents: true })
await xapi.connect()
await xapi.objectsFetched

const all = () => Object.values(xapi.objects.all)
const one = test => all().find(test)
const refused = async promise => {
  try {
    await promise
  } catch (error) {
    return [error.code, ...error.params]
  }
}

const vm = one(object => object.$type === 'VM' && object.name_label === name)
const repository = one(object => object.$type === 'SR' && object.type === 'iscsi')
const before = all().filter(object => object.$type === 'VDI').length
await xapi.callAsync('SR.scan', repository.$ref)
const vdi = await xapi.getRecordByUuid('VDI', uuid)
const vbd = await xapi.call('VBD.create', {
  VM: vm.$ref,
  VDI: vdi.$ref,
  userdevice: 'autodetect',
  bootable: false,
  mode: 'RW',
  type: 'Disk',
  empty: false,
  other_config: {},
  qos_algorithm_type: '',
  qos_algorithm_params: {},
})
await xapi.callAsync('VBD.plug', vbd)
const plugged = await xapi.getRecord('VBD', vbd)
const again = await refused(xapi.callAsync('VBD.plug', vbd))
await xapi.callAsync('VBD.unplug', vbd)
await xapi.call('VBD.destroy', vbd)

console.log(
  JSON.stringify({
    host: vm.$resident_on.name_label,
    newVdis: all().filter(object => object.$type === 'VDI').length - before,
    size: vdi.virtual_size,
    device: plugged.device,
    again: [again[0], again[1] === vbd],
    probe: (await refused(xapi.call('SR.probe', xapi.pool.master, {}, 'lvmohba', {})))[0],
  })
)
await xapi.disconnect()
